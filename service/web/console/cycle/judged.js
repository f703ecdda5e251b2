// @ts-check
// What the gate went by: held-out votes, frozen suites with what may be lost on each, and the items that turned.

import { versionLink } from "/web/console/outcome.js";
import { table } from "/web/console/table.js";
import { withQuery } from "/web/shared/api.js";
import { el } from "/web/shared/dom.js";
import { number, signed, t } from "/web/shared/i18n.js";

/** @typedef {{adapter: string, against: string} | null} Origin the candidate, and whom it was judged against */

/** @param {any} report @returns {Node[]} nothing where nothing was judged */
export function showJudged({ votes, suites, origin, moved }) {
  const withMoves = suites.filter((/** @type {any} */ one) => one.moves.length);
  return [
    origin && (votes || suites.length) && el("p", {}, t("cycles.judged.whom"), " ", versionLink(origin.adapter), ` ${t("cycles.judged.rival")} `, versionLink(origin.against)),
    votes && heldOut(votes),
    suites.length > 0 && compared(suites, origin),
    ...withMoves.map((/** @type {any} */ one) => turned(one, origin)),
    moved.length > 0 && movedBy(moved),
  ].filter(Boolean);
}

/** @param {any} votes */
function heldOut(votes) {
  const [speaks, tone] = votes.lower_bound > 0 ? ["for", "good"] : votes.delta <= 0 ? ["against", "bad"] : ["chance", "warn"];
  return el("p", { "data-testid": "heldout" }, t("cycles.judged.votes", { delta: signed(100 * votes.delta, 1), bound: signed(100 * votes.lower_bound, 1) }), " ",
    el("span", { class: `pill ${tone}` }, t(`cycles.judged.${speaks}`)));
}

/** @param {string} name */
const figure = (name) => /** @type {const} */ ({ label: t(`cycles.suite.${name}`), number: true });

/** @param {any[]} suites @param {Origin} origin */
function compared(suites, origin) {
  const columns = [t("cycles.suite.suite"), ...["live", "candidate", "delta", "bound", "margin", "turned"].map(figure), t("cycles.suite.passes")];
  return table(t("cycles.judged.suites"), columns, suites.map((one) => [
    [el("a", { href: `/console/suites#${encodeURIComponent(one.name)}` }, one.name), one.veto && [" ", el("span", { class: "pill" }, t("cycles.suite.veto"))]],
    number(one.live, 4), number(one.candidate, 4), signed(one.delta, 4), signed(one.lower_bound, 4), number(-one.margin, 4),
    el("a", { href: itemsOf(one.name, origin) }, t("cycles.suite.flips", { won: one.won, lost: one.lost })),
    passes(one),
  ]), "suites");
}

/** @param {any} suite */
function passes(suite) {
  if (suite.advisory) return el("span", { class: "pill" }, t("cycles.suite.advisory"));
  const fits = suite.lower_bound >= -suite.margin;
  return el("span", { class: `pill ${fits ? "good" : "bad"}`, "data-testid": `passes-${suite.name}` }, t(fits ? "cycles.suite.pass" : "cycles.suite.fail"));
}

/** Where the items are that turned between the two. @param {string} suite @param {Origin} origin */
function itemsOf(suite, origin) {
  return origin ? withQuery("/console/suites", { a: origin.against, b: origin.adapter, suite }) : `/console/suites#${encodeURIComponent(suite)}`;
}

/** @param {any} suite @param {Origin} origin */
function turned(suite, origin) {
  const title = t("cycles.judged.moves", { suite: suite.name, count: suite.moves.length });
  const score = (/** @type {string} */ name) => /** @type {const} */ ({ label: t(`cycles.move.${name}`), number: true });
  return el("details", {}, el("summary", {}, title), table(title, [t("cycles.move.item"), t("cycles.move.topic"), score("before"), score("after")],
    suite.moves.map((/** @type {any} */ move) =>
      [el("a", { href: itemsOf(suite.name, origin), class: "mono" }, move.item), move.topic, number(move.before, 3), number(move.after, 3)])));
}

/** @param {any[]} moved */
function movedBy(moved) {
  const columns = ["votes", "people", "change"].map((name) => /** @type {const} */ ({ label: t(`cycles.moved.${name}`), number: true }));
  return table(t("cycles.moved"), [t("cycles.moved.kind"), ...columns], moved.map((one) =>
    [el("span", { lang: "en" }, one.kind), number(one.votes), number(one.people), `${signed(one.change, 4)} ± ${number(one.error, 4)}`]), "moved");
}
