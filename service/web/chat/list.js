// @ts-check
// The reader's conversations: found, opened, renamed and deleted. They come page by page, the one last talked in first.

import { ServerError, call, explain, get, post, withQuery } from "/web/shared/api.js";
import { ask, toast } from "/web/shared/dialog.js";
import { arrange, byId, copyOf, el, part } from "/web/shared/dom.js";
import { exactly, t } from "/web/shared/i18n.js";
import { draftOf, keep } from "./drafts.js";

/**
 * @typedef {{id: string, title: string, created_at_s: number, updated_at_s: number}} Card
 * @typedef {{open: (id: string) => void, gone: (id: string) => void, known: (card: Card) => void}} Hooks
 *   `gone`: one was deleted; `known`: a card is new or says something else
 */

const PAGE = 50;
const TYPING_MS = 250; // of silence, after which what is typed is searched for
const GROUPS = ["today", "yesterday", "earlier"];

/** @type {Hooks} */
let hooks;
/** @type {Map<string, Card>} */
let cards = new Map();
/** @type {Map<string, HTMLElement>} */
const elements = new Map();
/** @type {Set<string>} deleted here; the server hears of it once it cannot be undone */
const doomed = new Set();
let current = "";
let hasMore = false;
let search = "";
let asking = new AbortController();

const groups = GROUPS.map((name) => {
  const list = el("ul");
  const section = el("section", { "aria-labelledby": `group-${name}`, hidden: true }, el("h2", { id: `group-${name}` }, t(`chat.group.${name}`)), list);
  return { section, list };
});
const more = el("button", { type: "button", class: "quiet", hidden: true, "data-testid": "more", onclick: () => void loadMore() }, t("base.more"));
const empty = el("p", { class: "muted", hidden: true, "data-testid": "no-conversations" });
const trouble = el("div", { class: "trouble", role: "alert", hidden: true });

/** Shows the list and keeps it. @param {Hooks} wiring */
export function startList(wiring) {
  hooks = wiring;
  byId("conversations").append(...groups.map((group) => group.section), empty, more, trouble);
  atEnd.observe(more);
  let typing = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = window.setTimeout(startAgain, TYPING_MS);
  });
  window.addEventListener("pagehide", () => { for (const id of doomed) void sendDeletion(id); });
  void startAgain();
}

/** Marks the one that is open. @param {string | null} id */
export function markCurrent(id) {
  elements.get(current)?.querySelector("a")?.removeAttribute("aria-current");
  current = id ?? "";
  elements.get(current)?.querySelector("a")?.setAttribute("aria-current", "page");
}

/** Learns what changed at the list's head: something was said. */
export async function refreshList() {
  if (search) return;
  const page = await get(withQuery("/v1/conversations", { limit: PAGE })).catch(() => null); // the next answer asks again
  if (!page || search) return;
  if (!cards.size) hasMore = page.has_more;
  take(page.data);
}

async function startAgain() {
  search = /** @type {HTMLInputElement} */ (byId("search")).value.trim();
  asking.abort();
  asking = new AbortController();
  await load("", asking.signal);
}

const atEnd = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) void loadMore(); });

async function loadMore() {
  if (more.getAttribute("aria-busy") === "true") return;
  await load([...sorted()].pop()?.id ?? "", asking.signal);
}

/** @param {string} after @param {AbortSignal} signal */
async function load(after, signal) {
  more.setAttribute("aria-busy", "true");
  trouble.hidden = true;
  try {
    const page = await get(withQuery("/v1/conversations", { limit: PAGE, after, search }), signal);
    if (!after) cards = new Map();
    hasMore = page.has_more;
    take(page.data);
  } catch (error) {
    if (signal.aborted) return;
    trouble.replaceChildren(explain(error), " ", el("button", { type: "button", onclick: () => void load(after, signal) }, t("base.retry")));
    trouble.hidden = false;
    more.hidden = true; // or it would ask again at once
  }
  more.setAttribute("aria-busy", "false");
  atEnd.unobserve(more); // it tells of changes: of an end that went and came back between two frames, only when asked anew
  atEnd.observe(more);
}

/** @param {Card[]} found */
function take(found) {
  for (const card of found) {
    cards.set(card.id, card);
    const element = elements.get(card.id);
    if (element) label(element, card);
    hooks.known(card);
  }
  show();
}

function sorted() {
  return [...cards.values()].sort((one, other) => other.updated_at_s - one.updated_at_s || (one.id < other.id ? 1 : -1));
}

function show() {
  const shown = sorted().filter((card) => !doomed.has(card.id));
  const today = new Date().setHours(0, 0, 0, 0) / 1000;
  /** @type {HTMLElement[][]} */
  const parts = GROUPS.map(() => []);
  for (const card of shown) parts[groupOf(card.updated_at_s, today)].push(elements.get(card.id) ?? makeElement(card));
  groups.forEach((group, number) => {
    arrange(group.list, parts[number]);
    group.section.hidden = !parts[number].length;
  });
  for (const id of elements.keys()) if (!cards.has(id)) elements.delete(id);
  empty.hidden = shown.length > 0;
  empty.textContent = t(search ? "chat.not_found" : "chat.no_conversations");
  more.hidden = !hasMore;
}

/** @param {number} at_s @param {number} today_s when the day began @returns {number} among `GROUPS` */
function groupOf(at_s, today_s) {
  if (at_s >= today_s) return 0;
  const yesterday = new Date(today_s * 1000);
  yesterday.setDate(yesterday.getDate() - 1); // not 24 hours: days are longer and shorter where clocks change
  return at_s >= yesterday.getTime() / 1000 ? 1 : 2;
}

/** @param {HTMLElement} element @param {Card} card */
function label(element, card) {
  const title = card.title || t("chat.untitled");
  const link = part(element, "open");
  link.textContent = title;
  link.title = `${title}\n${exactly(card.updated_at_s)}`;
  part(element, "rename").setAttribute("aria-label", t("chat.rename.which", { title }));
  part(element, "delete").setAttribute("aria-label", t("chat.delete.which", { title }));
}

/** @param {Card} card @returns {HTMLElement} */
function makeElement(card) {
  const id = card.id;
  const element = copyOf("conversation-template");
  label(element, card);
  const link = part(element, "open");
  link.href = `/?c=${encodeURIComponent(id)}`;
  if (id === current) link.setAttribute("aria-current", "page");
  link.onclick = (/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // elsewhere, as with any link
    event.preventDefault();
    hooks.open(id);
  };
  part(element, "rename").onclick = () => void rename(id);
  part(element, "delete").onclick = () => remove(id);
  elements.set(id, element);
  return element;
}

/** @param {string} id */
async function rename(id) {
  const value = cards.get(id)?.title ?? "";
  const title = await ask({ title: t("chat.rename"), confirm: t("base.save"), field: { label: t("chat.title"), value, required: true } });
  if (!title || title === value) return;
  try {
    take([await post(`/v1/conversations/${encodeURIComponent(id)}`, { title })]);
  } catch (error) {
    toast(explain(error));
  }
}

/** @param {string} id */
function remove(id) {
  const next = elements.get(id)?.nextElementSibling ?? elements.get(id)?.previousElementSibling;
  doomed.add(id);
  show();
  (next ? part(next, "open") : byId("conversations")).focus();
  hooks.gone(id);
  toast(t("chat.deleted"), () => restore(id), () => void sendDeletion(id));
}

/** @param {string} id */
function restore(id) {
  doomed.delete(id);
  show();
  part(elements.get(id) ?? byId("conversations"), "open")?.focus();
}

/** @param {string} id */
async function sendDeletion(id) {
  if (!doomed.has(id)) return;
  try {
    await call("DELETE", `/v1/conversations/${encodeURIComponent(id)}`, { keepalive: true });
  } catch (error) {
    if (!(error instanceof ServerError && error.status === 404)) {
      toast(explain(error));
      return restore(id);
    }
  }
  keep(draftOf(id), "");
  cards.delete(id);
  show();
  doomed.delete(id);
}
