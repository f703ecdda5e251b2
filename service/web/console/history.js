// @ts-check
// How a suite's score went from version to version.

import { el } from "/web/shared/dom.js";
import { number, t } from "/web/shared/i18n.js";
import { lines } from "/web/shared/plot.js";

/** @typedef {{adapter: string, suite: string, suite_sha256: string, mean: number, created_at_s: number}} Evaluation */

/**
 * A plot over these versions, first to last; versions without a score leave a gap.
 * @param {string} suite @param {string[]} versions @param {Map<string, Evaluation>} scores by version @returns {HTMLElement}
 */
export function history(suite, versions, scores) {
  const known = versions.filter((name) => scores.has(name));
  if (!known.length) return el("p", { class: "muted" }, t("compare.history.none"));
  const values = versions.map((name) => scores.get(name)?.mean ?? null);
  return lines({
    title: t("compare.history", { suite }),
    x: { label: t("compare.history.version"), values: versions.map((_, place) => place + 1), names: versions },
    series: [{ label: suite, values }],
    format: (value) => number(value, 3),
    height: 200,
  });
}

/**
 * The newest score of each version, by suite and then by version. @param {Evaluation[]} found oldest first
 * @returns {Map<string, Map<string, Evaluation>>}
 */
export function bySuite(found) {
  /** @type {Map<string, Map<string, Evaluation>>} */
  const suites = new Map();
  for (const one of found) suites.set(one.suite, (suites.get(one.suite) ?? new Map()).set(one.adapter, one));
  return suites;
}
