// @ts-check
// The review queue: what was held back from learning, and an operator's word on it, by mouse or by single keys.

import { guarded } from "/web/console/frame.js";
import { listing } from "/web/console/listing.js";
import { english, exchange, short } from "/web/console/said.js";
import { said, say } from "/web/console/tabs.js";
import { explain, get, post, withQuery } from "/web/shared/api.js";
import { toast } from "/web/shared/dialog.js";
import { byId, el, part } from "/web/shared/dom.js";
import { t, when } from "/web/shared/i18n.js";

/**
 * @typedef {{message_id: string, person_id: string, cycle_id: number, reason: string, cluster: string, held_at_s: number,
 *   decision: string | null, question: string, answer: string, alike: number}} Held
 * @typedef {"accepted" | "rejected" | null} Decision
 */

/** @type {ReturnType<typeof listing>} */
let list;
const rows = el("ol", { class: "things" });
/** @type {WeakMap<HTMLElement, Held>} */
const shown = new WeakMap();
/** @type {(() => unknown) | null} takes the last decision back */
let undo = null;

export function wireReview() {
  list = listing({ place: byId("held"), rows, load, row, empty: () => t(state() === "pending" ? "data.review.nothing" : "data.review.none") });
  const form = /** @type {HTMLFormElement} */ (part(document, "review-filters"));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    say({ tab: "review", state: state(), reason: reasonSelect().value });
    void list.begin();
  });
  byId("review").addEventListener("keydown", (event) => {
    const typing = /** @type {Element} */ (event.target).matches("input, select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    KEYS[event.key.toLowerCase()]?.();
  });
}

/** Shows what the address asks for. */
export async function showReview() {
  stateSelect().value = said().get("state") || "pending";
  offer(said().get("reason") ?? "", said().get("reason") ?? "");
  await Promise.all([countReasons(), list.begin()]);
}

/** @returns {HTMLSelectElement} */
const stateSelect = () => part(document, "review-state");
/** @returns {HTMLSelectElement} */
const reasonSelect = () => part(document, "review-reason");
const state = () => stateSelect().value;

/** @type {Record<string, () => unknown>} */
const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  a: () => decideCurrent("accepted"),
  r: () => decideCurrent("rejected"),
  u: () => undo?.(),
};

/** @param {string} after @returns {Promise<import("/web/console/listing.js").Part<Held>>} */
async function load(after) {
  const page = await get(withQuery("/api/data/review", { state: state(), reason: reasonSelect().value, after }));
  return { items: page.data, next: page.has_more ? page.data[page.data.length - 1].message_id : null };
}

/** How many wait for each reason, in the field where one is chosen. */
async function countReasons() {
  const chosen = reasonSelect().value;
  await guarded(byId("review"), async () => {
    const counts = await get("/api/data/held");
    for (const option of [...reasonSelect().options].slice(1)) option.remove();
    for (const one of counts) offer(one.reason, t("data.review.reason_of", { reason: one.reason, count: one.answers, people: one.people }));
    offer(chosen, chosen);
  });
}

/** @param {string} value @param {string} text */
function offer(value, text) {
  const select = reasonSelect();
  if (![...select.options].some((option) => option.value === value)) select.append(el("option", { value, lang: "en" }, text));
  select.value = value;
}

/** @param {Held} held @returns {HTMLElement} */
function row(held) {
  const why = el("input", { "aria-label": t("data.review.because"), placeholder: t("data.review.because"), maxlength: 500, class: "because", "data-testid": "because" });
  const button = (/** @type {Decision} */ decision, /** @type {string} */ name, /** @type {string} */ key) =>
    held.decision !== decision && el("button", {
      type: "button", "data-testid": name, "aria-keyshortcuts": key || null, onclick: () => decide(item, decision),
    }, t(`data.review.${name}`));
  const item = el("li", { class: "card thing", tabindex: "0", "aria-describedby": "review-keys", "data-testid": "held", "data-id": held.message_id },
    el("div", { class: "row facts" },
      el("span", { class: "pill warn" }, english(held.reason)),
      when(held.held_at_s),
      el("a", { href: `/console/cycles/${held.cycle_id}` }, t("data.cycle", { id: String(held.cycle_id) })),
      el("a", { class: "quiet-link", href: `/console/people?text=${held.person_id}`, title: held.person_id }, t("data.who")),
      held.cluster && el("span", { class: "muted" }, t("data.review.cluster"), " ", short(held.cluster, 20))),
    exchange(held.question, held.answer),
    el("div", { class: "row" }, why, button("accepted", "accept", "A"), button("rejected", "refuse", "R"), held.decision && button(null, "wait", ""),
      held.alike > 1 && alike(held, () => item)));
  shown.set(item, held);
  return item;
}

/** Decides about all that is held back together. @param {Held} held @param {() => HTMLElement} item */
function alike(held, item) {
  return [["accepted", "accept_all"], ["rejected", "refuse_all"]].map(([decision, name]) =>
    held.decision !== decision && el("button", { type: "button", class: "quiet", "data-testid": name,
      onclick: () => decide(item(), /** @type {Decision} */ (decision), true) }, t(`data.review.${name}`, { count: held.alike })));
}

/** @returns {HTMLElement | null} the one that the reader stands on or in, or the first */
function current() {
  return document.activeElement?.closest('[data-testid="held"]') ?? rows.querySelector('[data-testid="held"]');
}

/** @param {number} by */
function step(by) {
  const at = document.activeElement?.closest('[data-testid="held"]');
  const next = at ? (by > 0 ? at.nextElementSibling : at.previousElementSibling) : rows.firstElementChild;
  /** @type {HTMLElement | null} */ (next)?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** @param {Decision} decision */
function decideCurrent(decision) {
  const item = current();
  if (item && shown.get(item)?.decision !== decision) decide(item, decision);
}

/**
 * Takes the item out at once, says the decision, and puts it back if that failed or is undone.
 * @param {HTMLElement} item @param {Decision} decision @param {boolean} [all] of its cluster
 */
async function decide(item, decision, all = false) {
  const held = /** @type {Held} */ (shown.get(item));
  const before = item.nextElementSibling;
  const reason = part(item, "because").value.trim();
  const subject = all ? { cluster: held.cluster } : { message_id: held.message_id };
  /** @type {HTMLElement} */ (before ?? item.previousElementSibling ?? byId("review")).focus();
  item.remove();
  const back = () => {
    rows.insertBefore(item, before?.isConnected ? before : null);
    rows.hidden = false;
    item.focus();
  };
  try {
    await post("/api/data/review", { decision, reason, ...subject });
  } catch (error) {
    back();
    return toast(explain(error));
  }
  undo = () => void takeBack(held, subject, all ? () => list.begin() : back);
  toast(t(`data.review.said_${decision ?? "pending"}`), undo);
  if (all || !rows.childElementCount) await list.begin();
  await countReasons();
}

/** @param {Held} held @param {object} subject @param {() => unknown} show */
async function takeBack(held, subject, show) {
  undo = null;
  try {
    await post("/api/data/review", { decision: held.decision, ...subject });
  } catch (error) {
    return toast(explain(error));
  }
  await show();
  await countReasons();
}
