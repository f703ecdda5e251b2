// @ts-check
// One version against another: what the suites prove, which items turned, and what both say to the same question.

import { askBox } from "/web/console/asking.js";
import { flips } from "/web/console/flips.js";
import { guarded } from "/web/console/frame.js";
import { told } from "/web/console/outcome.js";
import { figure, table } from "/web/console/table.js";
import { get, post, withQuery } from "/web/shared/api.js";
import { el, fill } from "/web/shared/dom.js";
import { number, signed, t } from "/web/shared/i18n.js";

/**
 * @typedef {{live: number, candidate: number, delta: number, lower_bound: number | null, margin: number, won: number, lost: number}} Comparison
 * @typedef {{item: string, topic: string, before: number, after: number}} Turned
 * @typedef {{kind: string, items: number, advisory: boolean, moves: Turned[],
 *   finding: {name: string, verdict: string, reason: string, comparison: Comparison | null}}} Compared
 * @typedef {{before: string, after: string, verdict: string, suites: Compared[]}} Found
 */

/** @type {Record<string, string>} */
const TONES = { promote: "good", reject: "bad", inconclusive: "warn" };

/** @param {number | null} value */
function bound(value) {
  return value === null ? "–" : signed(value, 4); // there is none where all items hang together
}

/** @param {string} verdict */
function verdictPill(verdict) {
  return el("span", { class: `pill ${TONES[verdict] ?? ""}`, "data-verdict": verdict }, t(`compare.verdict.${verdict}`));
}

/**
 * All there is to say of the two. @param {string} before @param {string} after @param {string} [suite] all where it is not said
 * @returns {Promise<Node[]>}
 */
export async function compared(before, after, suite = "") {
  /** @type {Found} */
  const found = await get(withQuery("/api/suites/compare", { a: before, b: after, suite }));
  const box = askBox([before, after]);
  const unscored = found.suites.filter((one) => !one.finding.comparison).map((one) => one.finding.name);
  const scores = el("section", { "aria-label": t("compare.suites") });
  fill(scores,
    el("p", { class: "row" },
      el("strong", { "data-testid": "verdict" }, verdictPill(found.verdict)), el("span", { class: "muted" }, t("compare.verdict.how"))),
    unscored.length > 0 && scoreMissing(found, unscored, scores, suite), deltas(found), found.suites.map((one) => flips(one, box.ask)));
  return [scores, box.section];
}

/** @param {Found} found */
function deltas(found) {
  const numbers = [found.before, found.after, t("compare.delta"), t("compare.bound"), t("compare.margin")];
  const columns = [t("compare.suite"), ...numbers.map(figure), t("compare.says")];
  return table(t("compare.caption", { before: found.before, after: found.after }), columns, found.suites.map(row), "deltas");
}

/** @param {Compared} one */
function row({ advisory, finding }) {
  const own = finding.comparison;
  const figures = own
    ? [number(own.live, 4), number(own.candidate, 4), signed(own.delta, 4), bound(own.lower_bound), signed(-own.margin, 4)]
    : Array(5).fill("–");
  const name = el("a", { href: `/console/suites#${finding.name}` }, finding.name);
  const reason = el("p", { class: "muted reason" }, told(finding.reason));
  return [name, ...figures, [verdictPill(finding.verdict), " ", advisory && el("span", { class: "pill" }, t("compare.advisory")), reason]];
}

/**
 * Has the engine score what is not known, which takes minutes, and then compares anew.
 * @param {Found} found @param {string[]} suites @param {HTMLElement} place @param {string} suite
 */
function scoreMissing(found, suites, place, suite) {
  const button = el("button", { type: "button", "data-testid": "score-missing" }, t("compare.score", { count: suites.length }));
  const said = el("span", { role: "status", class: "muted" });
  button.addEventListener("click", () => guarded(place, async () => {
    button.disabled = true;
    said.textContent = t("compare.scoring");
    try {
      for (const adapter of [found.before, found.after]) await post("/api/suites/run", { adapter, suites });
      fill(/** @type {Element} */ (place.parentElement), await compared(found.before, found.after, suite));
    } finally {
      button.disabled = false;
      said.textContent = "";
    }
  }));
  return el("p", { class: "row" }, button, said);
}
