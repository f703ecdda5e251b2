// @ts-check
// How a version came to be: the cycle, what it learnt from, how the training went, and by which settings.

import { cycleLink, reasonList, statePill, told } from "/web/console/outcome.js";
import { get } from "/web/shared/api.js";
import { el } from "/web/shared/dom.js";
import { duration, number, t } from "/web/shared/i18n.js";

/**
 * @typedef {{id: string, rows: number, dropped: Record<string, number>, recipe: Record<string, unknown>}} Dataset
 * @typedef {{adapter: import("/web/console/versions.js").Version, dataset: Dataset | null, splits: Record<string, number>,
 *   cycle: import("/web/console/outcome.js").Cycle | null}} Link
 * @typedef {{adapter: string, variant: string, seconds: number, final_loss: number | null, measures: Record<string, number>, stopped: string}} Tried
 */

/** @param {Link} link @returns {Promise<Node[]>} */
export async function training({ adapter, dataset, splits, cycle }) {
  if (!cycle && !dataset) return [el("p", { class: "muted" }, t(adapter.name === "base" ? "adapters.training.base" : "adapters.training.none"))];
  const report = cycle && (await get(`/api/cycles/${cycle.id}/report`));
  const tried = report?.tried.find((/** @type {Tried} */ one) => one.adapter === adapter.name);
  return [
    el("dl", { class: "facts" }, cycle && madeBy(cycle), tried && trained(tried), dataset && learntFrom(dataset, splits)),
    ...(dataset ? [settings(dataset)] : []),
  ];
}

/** @param {import("/web/console/outcome.js").Cycle} cycle */
function madeBy(cycle) {
  return [
    fact("adapters.made_by", [cycleLink(cycle.id), " ", statePill(cycle.state), " ", reasonList(cycle.reasons)]),
    fact("adapters.method", cycle.method),
    fact("adapters.trigger", cycle.trigger),
  ];
}

/** @param {Tried} tried */
function trained({ variant, seconds, final_loss: loss, measures, stopped }) {
  const figures = Object.entries(measures).map(([name, value]) => `${name} ${number(value, 4)}`).join(" · ");
  return [
    variant && fact("adapters.variant", variant),
    fact("adapters.took", duration(seconds)),
    loss !== null && fact("adapters.loss", number(loss, 4)),
    figures && fact("adapters.measures", told(figures)),
    stopped && fact("adapters.stopped", told(stopped)),
  ];
}

/** @param {Dataset} dataset @param {Record<string, number>} splits */
function learntFrom(dataset, splits) {
  const address = `/console/data?${new URLSearchParams({ tab: "datasets", id: dataset.id })}`;
  const said = Object.entries(splits).map(([split, count]) => `${t(`adapters.split.${split}`)}: ${number(count)}`).join(" · ");
  return [
    fact("adapters.dataset", [
      el("a", { href: address, class: "mono", "data-testid": "dataset" }, dataset.id.slice(0, 12)), " ", el("span", { class: "muted" }, said),
    ]),
    Object.keys(dataset.dropped).length > 0 && fact("adapters.dropped", el("ul", { class: "reasons", lang: "en" },
      Object.entries(dataset.dropped).map(([reason, count]) => el("li", {}, `${reason}: ${number(count)}`)))),
  ];
}

/** @param {Dataset} dataset */
function settings(dataset) {
  return el("details", { "data-testid": "recipe" }, el("summary", {}, t("adapters.recipe")),
    el("pre", { class: "recipe", tabindex: "0", role: "region", "aria-label": t("adapters.recipe") }, JSON.stringify(dataset.recipe, null, 2)));
}

/** @param {string} key @param {import("/web/shared/dom.js").Child} value */
function fact(key, value) {
  return [el("dt", {}, t(key)), el("dd", {}, value)];
}
