// @ts-check
// Where messages are typed. What is typed is kept for each conversation until it is sent.

import { byId } from "/web/shared/dom.js";
import { draftOf, keep, kept } from "./drafts.js";
import { fitHeight, followed } from "./scroll.js";
import { ready } from "./waiting.js";

const prompt = /** @type {HTMLTextAreaElement} */ (byId("prompt"));
const send = /** @type {HTMLButtonElement} */ (byId("send"));
const stop = /** @type {HTMLButtonElement} */ (byId("stop"));
/** @type {string | null} */
let conversation = null;
let isOpened = false; // whether a conversation's draft was put in once
let isRunning = false;

/** @param {{send: (text: string) => void, stop: () => void}} hooks */
export function startComposer(hooks) {
  function submit() {
    const text = prompt.value.trim();
    if (!text || isRunning || !ready()) return;
    setPrompt("");
    hooks.send(text);
    focusPrompt();
  }
  prompt.addEventListener("input", changed);
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  send.onclick = submit;
  stop.onclick = hooks.stop;
}

/** Puts back what was typed for a conversation, and before it a message that never got its answer. @param {string | null} id @param {string} [unsent] */
export function draftFor(id, unsent = "") {
  const early = isOpened ? "" : prompt.value; // typed while the page was still loading
  if (early && id !== conversation) keep(draftOf(conversation), "");
  const typed = new Set([unsent, kept(draftOf(id)), early]);
  isOpened = true;
  conversation = id;
  setPrompt([...typed].filter(Boolean).join("\n\n"));
}

/** What is being typed belongs to this conversation from now on. @param {string | null} id */
export function moveDraft(id) {
  keep(draftOf(conversation), "");
  conversation = id;
  changed();
}

/** @param {boolean} running whether an answer is being written */
export function showRunning(running) {
  const hadFocus = document.activeElement === stop;
  isRunning = running;
  send.hidden = running;
  stop.hidden = !running;
  if (hadFocus && !running) focusPrompt();
  allowSending();
}

export function allowSending() {
  send.disabled = !ready() || !prompt.value.trim();
}

/** Focus, but not where it would push up a phone's keyboard. */
export function focusPrompt() {
  if (matchMedia("(pointer: fine)").matches) prompt.focus();
}

/** @param {string} text */
function setPrompt(text) {
  prompt.value = text;
  changed();
}

function changed() {
  keep(draftOf(conversation), prompt.value);
  allowSending();
  followed(() => fitHeight(prompt));
}
