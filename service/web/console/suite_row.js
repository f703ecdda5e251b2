// @ts-check
// A suite as a row of the list, and all that is known of it when it is opened.

import { history } from "/web/console/history.js";
import { told, versionLink } from "/web/console/outcome.js";
import { figure, table } from "/web/console/table.js";
import { el } from "/web/shared/dom.js";
import { number, signed, t, when } from "/web/shared/i18n.js";

/**
 * @typedef {import("/web/console/history.js").Evaluation} Evaluation
 * @typedef {{name: string, kind: string, version: number, items: number, margin: number, veto: boolean, advisory: boolean, language: string,
 *   about: string, folder: string, sha256: string, note: string}} Suite
 * @typedef {{live: string, lives: string[], scores: Map<string, Map<string, Evaluation>>}} Known what is live, what ever was, first to last,
 *   and the scores by suite and version
 */

const COLUMNS = 8;

/** The id of the button that opens a suite. @param {string} name */
export function buttonOf(name) {
  return `suite-${name}`; // names of suites are anything, and others have ids too
}

/** @param {Suite} suite @param {Known} known @returns {HTMLElement[]} the row, and the one below it that can be opened */
export function rows(suite, known) {
  const scores = scoresOf(suite, known);
  const live = scores.get(known.live);
  const below = el("tr", { class: "opened", hidden: true, id: `about-${suite.name}` }, el("td", { colspan: COLUMNS }));
  const button = el("button", {
    type: "button", class: "name-button", id: buttonOf(suite.name), "aria-expanded": "false", "aria-controls": below.id,
    "data-testid": `suite-${suite.name}`,
  }, suite.name);
  button.addEventListener("click", () => {
    if (below.hidden) below.firstElementChild.replaceChildren(about(suite, known, scores));
    below.hidden = !below.hidden;
    button.setAttribute("aria-expanded", String(!below.hidden));
  });
  const row = el("tr", {},
    el("th", { scope: "row" }, button),
    el("td", {}, t(`suites.kind.${suite.kind}`)),
    el("td", { class: "number" }, number(suite.version)),
    el("td", { class: "number" }, number(suite.items)),
    el("td", { class: "number" }, number(suite.margin, 4)),
    el("td", {}, role(suite)),
    el("td", {}, el("span", { class: "mono", title: suite.sha256 }, suite.sha256.slice(0, 10))),
    el("td", { class: "number", "data-testid": `live-${suite.name}` }, live ? number(live.mean, 4) : el("span", { class: "muted" }, t("suites.unscored"))));
  return [row, below];
}

/** Of exactly this suite: one that was changed is another one. @param {Suite} suite @param {Known} known */
function scoresOf(suite, known) {
  return new Map([...(known.scores.get(suite.name) ?? [])].filter(([, one]) => one.suite_sha256 === suite.sha256));
}

/** @param {Suite} suite */
function role({ veto, advisory }) {
  const name = veto ? "veto" : advisory ? "advisory" : "blocking";
  const tone = veto ? "bad" : advisory ? "" : "warn";
  return el("span", { class: `pill ${tone}`, title: t(`suites.role.why.${name}`) }, t(`suites.role.${name}`));
}

/** @param {Suite} suite @param {Known} known @param {Map<string, Evaluation>} scores */
function about(suite, known, scores) {
  return el("div", {},
    el("p", {}, told(suite.about)),
    suite.note && el("p", { class: "muted" }, told(suite.note)),
    el("p", { class: "muted" }, t("suites.language"), ": ", suite.language, " · ",
      t("suites.folder"), ": ", el("span", { class: "mono" }, suite.folder)),
    el("div", { class: "sides" }, history(suite.name, known.lives, scores), byVersion(suite, known, scores)));
}

/** Newest first. @param {Suite} suite @param {Known} known @param {Map<string, Evaluation>} scores */
function byVersion(suite, known, scores) {
  if (!scores.size) return el("p", { class: "muted" }, t("suites.unscored.how"));
  const live = scores.get(known.live)?.mean;
  const shown = [...scores.values()].reverse().map((one) => [
    [versionLink(one.adapter), one.adapter === known.live && [" ", el("span", { class: "pill good" }, t("suites.live"))]],
    number(one.mean, 4),
    live === undefined ? "–" : signed(one.mean - live, 4),
    when(one.created_at_s),
  ]);
  const columns = [t("suites.version"), figure(t("suites.score")), figure(t("suites.to_live")), t("suites.when")];
  return table(t("suites.versions", { suite: suite.name }), columns, shown);
}
