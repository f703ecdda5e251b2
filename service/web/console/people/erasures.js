// @ts-check
// Forgetting a person: asked once with their name typed, then followed until the last version that learnt from them is gone.

import { fillFrom } from "/web/console/frame.js";
import { short, versionLink } from "/web/console/said.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { del, explain, get } from "/web/shared/api.js";
import { ask, toast } from "/web/shared/dialog.js";
import { byId, el } from "/web/shared/dom.js";
import { number, t, when } from "/web/shared/i18n.js";

/**
 * @typedef {{id: string, created_at_s: number, counts: Record<string, number>, adapters: string[], marks: string[], cycle_id: number | null,
 *   cleaned_at_s: number | null}} Erasure
 * @typedef {{receipts: number, files: number, tables: number, remains: {place: string, found: number}[]}} Search
 */

const AGAIN_MS = 5000; // after which what is still to be done is looked at again
/** @type {ReturnType<typeof setTimeout> | undefined} */
let waiting;

byId("verify").addEventListener("click", () => void fillFrom(byId("proof"), verify));

/** @param {{id: string, name: string}} person @returns {Promise<boolean>} whether they are forgotten */
export async function forget({ id, name }) {
  const typed = name || id;
  const sure = await ask({
    title: t("people.forget_one", { name: typed }), text: t("people.forget.why"), confirm: t("people.forget"), danger: true,
    field: { label: t("people.forget.type", { name: typed }), required: true, pattern: typed.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&") },
  });
  if (sure === null) return false;
  try {
    await del(`/api/people/${encodeURIComponent(id)}`);
    toast(t("people.forgotten", { name: typed }));
    return true;
  } catch (error) {
    toast(explain(error));
    return false;
  }
}

/** Lists the receipts, and again for as long as one of them has something to be done. */
export async function showErasures() {
  clearTimeout(waiting);
  let isOpen = false;
  await fillFrom(byId("receipts"), async () => {
    /** @type {Erasure[]} */
    const found = await get("/api/erasures");
    isOpen = found.some((one) => one.cleaned_at_s === null);
    return found.length ? receipts(found) : el("p", { class: "muted" }, t("people.erasures.none"));
  });
  if (isOpen) waiting = setTimeout(() => (document.hidden ? wait() : void showErasures()), AGAIN_MS);
}

/** Goes on when the page is seen again. */
function wait() {
  document.addEventListener("visibilitychange", () => void showErasures(), { once: true });
}

/** @param {Erasure[]} found */
function receipts(found) {
  const { frame, body } = emptyTable(t("people.erasures"), columnsOf("people.", ["receipt", "when", "gone", "tainted", "state"]));
  body.append(...found.map((one) => el("tr", { "data-testid": "receipt", "data-id": one.id },
    el("th", { scope: "row" }, short(one.id, 20)), el("td", {}, when(one.created_at_s)), el("td", {}, gone(one)),
    el("td", {}, one.adapters.length ? one.adapters.map((name) => [versionLink(name), " "]) : "–"), el("td", {}, state(one)))));
  return frame;
}

/** @param {Erasure} one */
function gone(one) {
  const counts = Object.entries(one.counts).filter(([, count]) => count);
  const rows = counts.reduce((sum, [, count]) => sum + count, 0);
  const lines = counts.map(([name, count]) => el("li", {}, el("span", { class: "mono" }, name), " ", number(count)));
  return el("details", {}, el("summary", {}, number(rows)), el("ul", {}, lines));
}

/** @param {Erasure} one */
function state(one) {
  if (one.cleaned_at_s !== null) return el("span", {}, el("span", { class: "pill good", "data-testid": "cleaned" }, t("people.cleaned")), " ", when(one.cleaned_at_s));
  const cycle = one.cycle_id !== null && el("a", { href: `/console/cycles/${one.cycle_id}` }, t("people.cycle", { id: String(one.cycle_id) }));
  return el("span", {}, el("span", { class: "pill warn" }, t(one.cycle_id === null ? "people.to_rebuild" : "people.rebuilding")), " ", cycle);
}

/** @returns {Promise<HTMLElement>} */
async function verify() {
  /** @type {Search} */
  const found = await get("/api/erasures/verify");
  const looked = t("people.searched", { files: found.files, tables: found.tables, receipts: found.receipts });
  if (!found.remains.length) return el("p", { class: "pill good proof", "data-testid": "nothing-left" }, t("people.nothing_left"), " ", looked);
  const { frame, body } = emptyTable(t("people.remains"), columnsOf("people.", ["place", "found"], ["found"]));
  body.append(...found.remains.map((one) => el("tr", {}, el("td", { class: "mono" }, one.place), el("td", { class: "number" }, number(one.found)))));
  return el("div", {}, el("p", { class: "trouble" }, t("people.still_there"), " ", looked), frame);
}
