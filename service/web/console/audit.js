// @ts-check
// The audit: who moved what, newest first, each with the way to what it moved.

import { guarded, page } from "/web/console/frame.js";
import { listing } from "/web/console/listing.js";
import { english } from "/web/console/said.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { said, say } from "/web/console/tabs.js";
import { get, withQuery } from "/web/shared/api.js";
import { byId, el } from "/web/shared/dom.js";
import { has, t, when } from "/web/shared/i18n.js";

/** @typedef {{id: number, actor: string, action: string, subject: string, detail: string, created_at_s: number}} Entry */

const PAGE = 50;

/** Where the subject of an action is looked at, by how the action begins; the first that fits. @type {[string, (subject: string) => string][]} */
const PLACES = [
  ["key.", () => "/console/people#keys"],
  ["forget", () => "/console/people#erasures"],
  ["review", () => withQuery("/console/data", { tab: "review" })],
  ["dataset.", (subject) => withQuery("/console/data", { tab: "datasets", id: subject })],
  ["documents", () => withQuery("/console/data", { tab: "documents" })],
  ["data.", () => withQuery("/console/data", { tab: "documents" })],
  ["suites.calibrate", () => "/console/suites"],
  ["cycle.", (subject) => `/console/cycles/${encodeURIComponent(subject)}`],
  ...["go_live", "canary", "quarantine", "restore", "suites.run", "adapter"].map((name) =>
    /** @type {[string, (subject: string) => string]} */ ([name, (subject) => `/console/adapters/${encodeURIComponent(subject)}`])),
];

const select = /** @type {HTMLSelectElement} */ (byId("kinds").querySelector("select"));
const { frame, body } = emptyTable(t("audit.entries"), columnsOf("audit.", ["when", "actor", "action", "subject", "detail"]));
const entries = listing({
  place: byId("entries"),
  rows: body,
  frame,
  load: async (before) => {
    /** @type {Entry[]} */
    const found = await get(withQuery("/api/audit", { kind: select.value, before, limit: PAGE }));
    return { items: found, next: found.length === PAGE ? String(found[PAGE - 1].id) : null };
  },
  row,
  empty: () => t("audit.none"),
});

/** @param {Entry} entry @returns {HTMLElement} */
function row(entry) {
  return el("tr", { "data-testid": "entry", "data-action": entry.action },
    el("td", {}, when(entry.created_at_s)), el("td", {}, actor(entry.actor)), el("td", { title: entry.action }, inWords(entry.action)),
    el("td", { class: "mono" }, subject(entry)), el("td", {}, english(entry.detail)));
}

/** Who it was, and with which key where there are several. @param {string} name @returns {Node} */
function actor(name) {
  const [role, key] = name.split(":");
  if (!has(`audit.actor.${role}`)) return el("span", { class: "mono" }, name);
  return el("span", {}, t(`audit.actor.${role}`), key && [" ", el("span", { class: "mono" }, key)]);
}

/** @param {string} name @returns {string} in words, where there are any */
function inWords(name) {
  const key = `audit.action.${name.replaceAll(".", "_")}`;
  return has(key) ? t(key) : name;
}

/** @param {Entry} entry */
function subject({ action, subject }) {
  const place = PLACES.find(([begin]) => action.startsWith(begin))?.[1];
  return place && subject ? el("a", { href: place(subject) }, subject) : subject;
}

/** Puts the kinds that there are into the field. */
async function offerKinds() {
  /** @type {Record<string, number>} */
  const counts = await get("/api/audit/kinds");
  const chosen = said().get("kind") ?? "";
  for (const option of [...select.options].slice(1)) option.remove();
  select.append(...Object.entries(counts).map(([name, count]) => el("option", { value: name }, t("audit.kind_of", { name: inWords(name), count }))));
  if (chosen && !(chosen in counts)) select.append(el("option", { value: chosen }, chosen));
  select.value = chosen;
}

byId("kinds").addEventListener("change", () => {
  say({ kind: select.value });
  void entries.begin();
});
page(async () => {
  await guarded(byId("entries"), offerKinds);
  await entries.begin();
});
