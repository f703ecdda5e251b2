// @ts-check
// A dry run, shown: what a cycle would learn, what it would leave out and why, and what it lacks.

import { named } from "/web/console/outcome.js";
import { table } from "/web/console/table.js";
import { withQuery } from "/web/shared/api.js";
import { el } from "/web/shared/dom.js";
import { number, t } from "/web/shared/i18n.js";

const FIGURES = ["answers", "train", "heldout", "liked", "disliked", "corrected", "people", "effective"];

/** @param {any} preview @returns {Node[]} */
export function showPreview(preview) {
  const { would_learn: would, why_not: why, missing } = preview;
  return [
    el("h3", {}, t("cycles.preview", { method: named("cycles.method.", preview.method) })),
    el("p", { "data-testid": "would", "data-would": String(would) },
      el("span", { class: `pill ${would ? "good" : "warn"}` }, t(would ? "cycles.preview.would" : "cycles.preview.would_not")), why && [" ", el("span", { lang: "en" }, why)]),
    el("dl", { class: "figures" }, FIGURES.map((name) => el("div", {}, el("dt", {}, t(`cycles.preview.${name}`)), el("dd", {}, number(preview[name], 1))))),
    showReasons("dropped", preview.dropped, () => ""),
    showReasons("held", preview.held, reviewOf),
    missing.length > 0 && el("div", {}, el("h4", {}, t("cycles.preview.missing")), el("ul", { lang: "en" }, missing.map((/** @type {string} */ one) => el("li", {}, one)))),
  ].filter(Boolean);
}

/** Where the rows wait that are held back for a reason. @param {string} reason */
export function reviewOf(reason) {
  return withQuery("/console/data", { tab: "review", reason });
}

/**
 * Rows that do not teach, by reason, the most frequent first.
 * @param {"dropped" | "held"} name @param {Record<string, number>} counts @param {(reason: string) => string} address of those rows, "" where they have none
 */
export function showReasons(name, counts, address) {
  const found = Object.entries(counts).sort((one, other) => other[1] - one[1]);
  if (!found.length) return el("p", { class: "muted" }, t(`cycles.none.${name}`));
  const rows = found.map(([reason, count]) => [el(address(reason) ? "a" : "span", { href: address(reason) || null, lang: "en" }, reason), number(count)]);
  return table(t(`cycles.${name}`), [t("cycles.reason"), { label: t("cycles.rows"), number: true }], rows, name);
}
