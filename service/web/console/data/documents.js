// @ts-check
// Files that come in, where documents came from, and what is taken back.

import { wireBring } from "/web/console/data/bring.js";
import { fillFrom } from "/web/console/frame.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { del, explain, get, withQuery } from "/web/shared/api.js";
import { ask, toast } from "/web/shared/dialog.js";
import { byId, el } from "/web/shared/dom.js";
import { number, t, when } from "/web/shared/i18n.js";

/**
 * @typedef {{kind: string, domain: string, language: string, source: string, licence: string, documents: number}} Source
 * @typedef {{id: string, source: string, layout: string, kind: string, records: number, added: number, skipped: number,
 *   started_at_s: number, ended_at_s: number | null}} Import
 */

export function wireDocuments() {
  wireBring(showDocuments);
}

export async function showDocuments() {
  await Promise.all([fillFrom(byId("sources"), sources), fillFrom(byId("imports"), imports)]);
}

async function sources() {
  /** @type {Source[]} */
  const found = await get("/api/documents/sources");
  if (!found.length) return el("p", { class: "muted" }, t("data.sources.none"));
  const columns = columnsOf("data.", ["source", "kind", "domain", "language", "licence", "count", "actions"], ["count"]);
  const { frame, body } = emptyTable(t("data.sources"), columns);
  body.append(...found.map((one) => el("tr", { "data-testid": "source-row" },
    el("th", { scope: "row" }, one.source), el("td", {}, t(`data.kind.${one.kind}`)), el("td", {}, one.domain), el("td", {}, one.language),
    el("td", {}, one.licence), el("td", { class: "number" }, number(one.documents)),
    el("td", {}, el("button", { type: "button", class: "quiet", "aria-label": t("data.sources.delete_one", { source: one.source }), "data-testid": "delete-source",
      onclick: () => void takeBack(one.source) }, t("data.sources.delete"))))));
  return frame;
}

/** @param {string} source */
async function takeBack(source) {
  const sure = await ask({ title: t("data.sources.delete_one", { source }), text: t("data.sources.delete_why"), confirm: t("data.sources.delete"), danger: true });
  if (sure === null) return;
  try {
    const gone = await del(withQuery("/api/documents", { source }));
    toast(t("data.sources.deleted", { count: gone.documents, source }));
  } catch (error) {
    toast(explain(error));
  }
  await showDocuments();
}

async function imports() {
  /** @type {Import[]} */
  const found = await get("/api/imports?limit=100");
  if (!found.length) return el("p", { class: "muted" }, t("data.imports.none"));
  const counts = ["records", "added", "skipped"];
  const { frame, body } = emptyTable(t("data.imports"), columnsOf("data.", ["started", "source", "layout", "kind", ...counts, "end"], counts));
  body.append(...found.map((one) => el("tr", { "data-testid": "import-row" },
    el("td", {}, when(one.started_at_s)), el("td", {}, one.source), el("td", {}, one.layout), el("td", {}, t(`data.kind.${one.kind}`)),
    ...[one.records, one.added, one.skipped].map((count) => el("td", { class: "number" }, number(count))),
    el("td", {}, one.ended_at_s === null ? el("span", { class: "pill warn" }, t("data.imports.open")) : when(one.ended_at_s)))));
  return frame;
}
