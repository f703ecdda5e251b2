// @ts-check
// The chat page: which conversation is shown, and what its parts tell each other.

import { ServerError, explain } from "/web/shared/api.js";
import { byId, el, fill } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";
import { allowSending, draftFor, focusPrompt, moveDraft, showRunning, startComposer } from "./composer.js";
import { keepUnsent, keptUnsent } from "./drafts.js";
import { showDrawer, startDrawer } from "./drawer.js";
import { startKeys } from "./keys.js";
import { markCurrent, refreshList, startList } from "./list.js";
import { toEnd } from "./scroll.js";
import { startSettings } from "./settings.js";
import { Talk } from "./talk.js";
import { showMore, showTalk } from "./view.js";
import { onReadyChange, watchReady } from "./waiting.js";

const DOUBT_MS = 6000; // after an answer that failed: the server may not have noticed yet that its engine is gone
const KEPT_TRIES = 5; // looks for an answer that a reload broke off, which is kept a moment later
const KEPT_PAUSE_MS = 400;

/** @type {import("./talk.js").Hooks} */
const hooks = {
  changed(talk) {
    if (talk.running) writing.add(talk);
    if (talk === shown) show();
  },
  grew: showMore,
  named(talk) {
    if (talk !== shown) return;
    goTo(talk.id);
    moveDraft(talk.id);
    markCurrent(talk.id);
  },
  ended(talk) {
    writing.delete(talk);
    void refreshList();
  },
  failed: () => void watchReady(DOUBT_MS),
};

/** @type {Set<Talk>} those in which an answer is being written, also while another is shown */
const writing = new Set();
let shown = new Talk(hooks);
let opening = 0; // counts what is opened: only the last one is shown

/** @returns {string | null} the conversation that the address names */
function addressed() {
  return new URLSearchParams(location.search).get("c");
}

/** @param {string | null} id */
function goTo(id) {
  if (addressed() !== id) history.pushState(null, "", id ? `/?c=${encodeURIComponent(id)}` : "/");
}

function show() {
  showTalk(shown);
  showRunning(shown.running !== null);
  showTitle(shown.title);
}

/** @param {string} title */
function showTitle(title) {
  byId("title").textContent = title || t("chat.new");
  document.title = title ? `${title} · Ratchet` : "Ratchet";
}

/** Shows a conversation from its end. @param {Talk} talk @param {string} [unsent] what of it was asked in vain */
function enter(talk, unsent = "") {
  opening += 1;
  shown = talk;
  show();
  draftFor(talk.id, unsent);
  markCurrent(talk.id);
  showDrawer(false);
  toEnd();
  focusPrompt();
}

function begin() {
  const isUnderWay = shown.id === null && shown.running; // what it asks is not lost
  goTo(null);
  enter(new Talk(hooks), isUnderWay ? "" : takeUnsent(null));
}

/** @param {string | null} id */
function takeUnsent(id) {
  const unsent = keptUnsent(id)?.text ?? "";
  keepUnsent(id, null);
  return unsent;
}

/** Opens what the address names. */
async function open() {
  const id = addressed();
  if (!id) return begin();
  const underWay = [...writing].find((talk) => talk.id === id);
  if (underWay) return enter(underWay);
  const mine = ++opening;
  byId("turns").setAttribute("aria-busy", "true");
  try {
    const talk = await load(id);
    if (mine === opening) enter(talk, takeUnsent(id));
  } catch (error) {
    if (mine === opening) showTrouble(id, error);
  } finally {
    byId("turns").removeAttribute("aria-busy");
  }
}

/** The conversation, with the answer that was broken off when the page was left, if it is kept. @param {string} id */
async function load(id) {
  const unsent = keptUnsent(id);
  for (let tries = unsent?.id ? KEPT_TRIES : 1; ; tries -= 1) {
    const talk = await Talk.load(hooks, id).catch((error) => {
      if (tries <= 1 || !(error instanceof ServerError)) throw error;
      return null;
    });
    const isKept = [...(talk?.tree.turns.values() ?? [])].some((turn) => turn.id === unsent?.id);
    if (unsent?.id && isKept) keepUnsent(id, null);
    if (talk && (isKept || tries <= 1)) return talk;
    await new Promise((resolve) => setTimeout(resolve, KEPT_PAUSE_MS));
  }
}

/** @param {string} id @param {unknown} error */
function showTrouble(id, error) {
  const isGone = error instanceof ServerError && error.status === 404;
  const unsent = isGone ? takeUnsent(id) : "";
  if (unsent) {
    goTo(null);
    return enter(new Talk(hooks), unsent);
  }
  enter(new Talk(hooks));
  byId("welcome").hidden = true;
  const next = isGone ? el("a", { class: "button", href: "/" }, t("chat.new")) : el("button", { type: "button", onclick: () => void open() }, t("base.retry"));
  fill(byId("turns"), el("div", { class: "trouble", role: "alert", "data-testid": "open-trouble" }, el("p", {}, isGone ? t("chat.gone") : explain(error)), next));
}

startDrawer();
startSettings();
startKeys({ stop: () => shown.stop(), begin });
startComposer({
  send(text) {
    if (addressed() !== shown.id) goTo(shown.id);
    void shown.ask(text);
    toEnd();
  },
  stop: () => shown.stop(),
});
startList({
  open(id) {
    goTo(id);
    void open();
  },
  gone(id) {
    if (id === shown.id) begin();
  },
  known(card) {
    for (const talk of [shown, ...writing]) if (talk.id === card.id) talk.title = card.title;
    if (card.id === shown.id) showTitle(card.title);
  },
});
onReadyChange(allowSending);
byId("new-chat").onclick = byId("new-chat-top").onclick = begin;
window.addEventListener("popstate", () => void open());
void open();
void watchReady();
performance.mark("interactive"); // from here on the page does what one asks of it
