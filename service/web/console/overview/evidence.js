// @ts-check
// What is new to learn from, and what is still missing before a cycle starts by itself: a bar for each condition.

import { bar, named } from "/web/console/outcome.js";
import { el, refill } from "/web/shared/dom.js";
import { duration, number, t, when } from "/web/shared/i18n.js";

/** The service's own words of a condition → the key of its message. @type {Record<string, string>} */
const CONDITIONS = {
  "independent votes": "independent",
  "votes of the rarer kind": "rarer",
  people: "people",
  "answers with something new said of them, or held back": "anything",
  "seconds since the last cycle began": "pause",
  "a free slot for a trial": "slot",
};

/** @typedef {{way: string, what: string, have: number, need: number, met: boolean}} Need */

/** @param {Element} root @param {any} status */
export function showEvidence(root, status) {
  const { evidence, outlook } = status;
  refill(root,
    el("p", { class: "counts" }, figure("rows", evidence.rows, ""), figure("up", evidence.up, "&thumb=up"), figure("down", evidence.down, "&thumb=down"),
      figure("corrections", evidence.corrections, ""), figure("people", evidence.people, null)),
    ["evidence", "interval", "always"].map((way) => group(way, outlook.needs.filter((/** @type {Need} */ need) => need.way === way))),
    el("p", { "data-testid": "next-run" }, next(outlook)));
}

/** @param {string} name @param {number} value @param {string | null} query of the answers that it counts */
function figure(name, value, query) {
  const href = query === null ? "/console/people" : `/console/data?tab=answers${query}`;
  return el("span", { class: "figure" }, el("a", { class: "value", href, "data-testid": `new-${name}` }, number(value)),
    el("span", { class: "label" }, t(`overview.new.${name}`)));
}

/** @param {string} way @param {Need[]} needs */
function group(way, needs) {
  if (!needs.length) return null;
  return [el("h3", {}, t(`overview.way.${way}`)), el("ul", { class: "needs" }, needs.map(show))];
}

/** @param {Need} need */
function show(need) {
  const key = CONDITIONS[need.what];
  const what = key ? named("overview.need.", key) : need.what;
  const said = (/** @type {number} */ value) => (key === "pause" ? duration(value) : number(value, 1));
  return el("li", { "data-testid": `need-${key ?? need.what}`, "data-met": String(need.met) },
    el("span", { lang: key ? null : "en" }, what),
    bar(need.have, need.need, what),
    el("span", { class: "amount" }, t("overview.need.amount", { have: said(key === "pause" ? Math.min(need.have, need.need) : need.have), need: said(need.need) })),
    el("span", { class: `pill ${need.met ? "good" : ""}` }, t(need.met ? "overview.need.met" : "overview.need.missing")));
}

/** When a cycle starts by itself. @param {any} outlook */
function next(outlook) {
  if (!outlook.enabled) return t("overview.next.never");
  if (outlook.trigger) return t("overview.next.due", { trigger: named("cycles.trigger.", outlook.trigger) });
  return [
    outlook.next_look_at_s ? [t("overview.next.look"), " ", when(outlook.next_look_at_s), ". "] : `${t("overview.next.elsewhere")} `,
    outlook.interval_at_s ? [t("overview.next.interval"), " ", when(outlook.interval_at_s), "."] : null,
  ];
}
