// @ts-check
// The datasets that cycles made: what is in each, what was left out and why, and what it was checked against.

import { fillFrom, guarded } from "/web/console/frame.js";
import { english, short } from "/web/console/said.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { said } from "/web/console/tabs.js";
import { download, get, withQuery } from "/web/shared/api.js";
import { byId, el, fill } from "/web/shared/dom.js";
import { number, t, when } from "/web/shared/i18n.js";

/**
 * @typedef {{id: string, cycle_id: number, path: string, rows: number, created_at_s: number, dropped: Record<string, number>,
 *   file_sha256: string, suites: Record<string, string>, recipe: Record<string, unknown>}} Dataset
 */

const SPLITS = ["train", "heldout", "dropped"];
const LISTED = 1000;

/** Shows the list, and the dataset that the address names. */
export async function showDatasets() {
  const id = said().get("id");
  if (!id) fill(byId("dataset"));
  await Promise.all([id && fillFrom(byId("dataset"), () => dataset(id)), fillFrom(byId("dataset-list"), list)]);
}

async function list() {
  /** @type {Dataset[]} */
  const found = await get(`/api/datasets?limit=${LISTED}`);
  if (!found.length) return el("p", { class: "muted" }, t("data.datasets.none"));
  const { frame, body } = emptyTable(t("data.tab.datasets"), columnsOf("data.", ["dataset", "made", "cycle_name", "rows", "dropped"], ["rows", "dropped"]));
  body.append(...found.map((one) => el("tr", { "data-testid": "dataset-row" },
    el("th", { scope: "row" }, el("a", { href: address(one.id) }, short(one.id))),
    el("td", {}, when(one.created_at_s)), el("td", {}, cycle(one)), el("td", { class: "number" }, number(one.rows)),
    el("td", { class: "number" }, number(total(one.dropped))))));
  return frame;
}

/** @param {string} id */
const address = (id) => withQuery("/console/data", { tab: "datasets", id });

/** @param {Dataset} one */
const cycle = (one) => el("a", { href: `/console/cycles/${one.cycle_id}` }, t("data.cycle", { id: String(one.cycle_id) }));

/** @param {Record<string, number>} counts */
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** @param {string} id @returns {Promise<HTMLElement>} */
async function dataset(id) {
  /** @type {{dataset: Dataset, counts: Record<string, Record<string, number>>}} */
  const { dataset: one, counts } = await get(`/api/datasets/${encodeURIComponent(id)}`);
  return el("section", { class: "card", "aria-labelledby": "dataset-name", "data-testid": "manifest" },
    el("div", { class: "row facts" },
      el("h2", { id: "dataset-name" }, t("data.dataset"), " ", short(one.id)), cycle(one), when(one.created_at_s)),
    el("div", { class: "columns" }, contents(counts), dropped(one.dropped), proof(one.suites)),
    el("details", {}, el("summary", {}, t("data.recipe")), el("pre", { class: "scroll", tabindex: "0" }, JSON.stringify(one.recipe, null, 2))),
    exporting(one));
}

/** @param {Record<string, Record<string, number>>} counts */
function contents(counts) {
  const kinds = [...new Set(Object.values(counts).flatMap(Object.keys))].sort();
  const { frame, body } = emptyTable(t("data.contents"), columnsOf("data.", ["kind", ...SPLITS.map((split) => `split.${split}`)], SPLITS.map((split) => `split.${split}`)));
  body.append(...kinds.map((kind) => el("tr", {}, el("th", { scope: "row" }, t(`data.row.${kind}`)),
    SPLITS.map((split) => el("td", { class: "number" }, number(counts[split]?.[kind] ?? 0))))));
  return frame;
}

/** @param {Record<string, number>} reasons */
function dropped(reasons) {
  const found = Object.entries(reasons).sort(([, one], [, other]) => other - one);
  if (!found.length) return el("p", { class: "muted" }, t("data.dropped.none"));
  const { frame, body } = emptyTable(t("data.dropped.why"), columnsOf("data.", ["why", "rows"], ["rows"]));
  body.append(...found.map(([reason, count]) => el("tr", {}, el("th", { scope: "row", lang: "en" }, reason), el("td", { class: "number" }, number(count)))));
  return frame;
}

/** @param {Record<string, string>} suites */
function proof(suites) {
  const found = Object.entries(suites);
  if (!found.length) return el("p", { class: "muted" }, t("data.proof.none"));
  const { frame, body } = emptyTable(t("data.proof"), columnsOf("data.", ["suite", "sha256"]));
  const link = (/** @type {string} */ name) => el("a", { href: "/console/suites" }, english(name));
  body.append(...found.map(([name, sha256]) => el("tr", {}, el("th", { scope: "row" }, link(name)), el("td", {}, short(sha256)))));
  return frame;
}

/** @param {Dataset} one */
function exporting(one) {
  if (!one.path) return el("p", { class: "muted" }, t("data.file_gone"));
  const people = el("input", { type: "checkbox", "data-testid": "with-people" });
  const place = el("div", { class: "row" },
    el("button", { type: "button", "data-testid": "export", onclick: () => void guarded(place, () =>
      download(withQuery(`/api/datasets/${one.id}/export`, { people: people.checked || "" }), `dataset-${one.id.slice(0, 12)}.tar`)) }, t("data.export")),
    el("label", { class: "check" }, people, " ", t("data.export.people")));
  return place;
}
