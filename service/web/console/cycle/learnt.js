// @ts-check
// What a cycle learnt from: answers it looked at, rows by kind and use, and what did not teach, and why.

import { named } from "/web/console/outcome.js";
import { reviewOf, showReasons } from "/web/console/preview.js";
import { table } from "/web/console/table.js";
import { withQuery } from "/web/shared/api.js";
import { el } from "/web/shared/dom.js";
import { number, t } from "/web/shared/i18n.js";

const SPLITS = ["train", "heldout", "dropped"];

/** @param {any} report @returns {Node[]} nothing before anything was collected */
export function showLearnt({ collected, curated, rows, held }) {
  if (!collected && !curated) return [];
  const dataset = curated ? withQuery("/console/data", { tab: "datasets", id: curated.dataset_id }) : "";
  return [
    collected && el("p", {}, t("cycles.learnt.collected", { answers: collected.answers, people: collected.people })),
    curated && el("p", {}, t("cycles.learnt.dataset"), " ", el("a", { class: "mono", "data-testid": "dataset", href: dataset }, curated.dataset_id.slice(0, 12)),
      " · ", t("cycles.learnt.worth", { effective: number(curated.effective, 1) })),
    Object.keys(rows).length > 0 && byKind(rows),
    curated && showReasons("dropped", curated.dropped, () => dataset),
    Object.keys(held).length > 0 && showReasons("held", held, reviewOf),
  ].filter(Boolean);
}

/** @param {Record<string, Record<string, number>>} rows split → kind → rows */
function byKind(rows) {
  const kinds = [...new Set(SPLITS.flatMap((split) => Object.keys(rows[split] ?? {})))].sort();
  const columns = SPLITS.map((split) => /** @type {const} */ ({ label: t(`cycles.split.${split}`), number: true }));
  return table(t("cycles.learnt.rows"), [t("cycles.kind"), ...columns],
    kinds.map((kind) => [named("cycles.kind.", kind), ...SPLITS.map((split) => number(rows[split]?.[kind] ?? 0))]), "kinds");
}
