// @ts-check
// What the reader thinks of an answer: a thumb, reasons, a comment, a better answer. Each is saved as it is given.

import { call, explain, get } from "/web/shared/api.js";
import { el, part, uuid } from "/web/shared/dom.js";
import { has, t } from "/web/shared/i18n.js";
import { keep, keepTyped } from "./drafts.js";
import { fitHeight, followed } from "./scroll.js";

/**
 * @typedef {import("./tree.js").Turn} Turn
 * @typedef {import("./tree.js").Opinion} Opinion
 * @typedef {(said: Partial<Opinion>) => Promise<boolean>} Save whether it is on the server's disk now
 * @typedef {(state: "saved" | "failed", text: string) => boolean} Tell
 */

/** @type {Promise<{key: string, label: string}[]> | null} */
let reasons = null;

/** @returns {Promise<{key: string, label: string}[]>} what can be wrong with an answer, asked for once */
function listReasons() {
  reasons ??= get("/v1/feedback/reasons").catch((error) => {
    reasons = null;
    throw error;
  });
  return reasons;
}

/** @param {string} completion @param {Partial<Opinion>} said @returns {Promise<unknown>} */
export function postFeedback(completion, said) {
  const body = { id: uuid(), completion_id: completion, ...said };
  return call("POST", "/v1/feedback", { body, keepalive: true });
}

/** Wires the votes, the reasons and the two boxes below an answer that is whole. @param {HTMLElement} element @param {Turn} turn */
export function takeFeedback(element, turn) {
  const completion = turn.id ?? "";
  let queue = Promise.resolve(); // one at a time, so that the last click is the last to arrive

  /** @type {Save} */
  function save(said) {
    const sent = queue.then(() => postFeedback(completion, said)).then(() => Object.assign(turn.opinion, said));
    const shown = sent.then(() => tell("saved", t("chat.saved")), (error) => tell("failed", t("chat.not_saved", { why: explain(error) })));
    queue = shown.then(() => {});
    return shown;
  }

  /** @type {Tell} */
  function tell(state, text) {
    const status = part(element, "feedback-status");
    followed(() => {
      status.dataset.state = state;
      status.textContent = text;
    });
    return state === "saved";
  }

  wireThumbs(element, turn.opinion, save);
  wireBox(element, "comment", "", turn, (text) => save({ comment: text || null }), tell);
  wireBox(element, "correct", turn.content, turn, (text) => save({ correction: text || null }), tell);
  if (turn.opinion.preferred_over) tell("saved", t("chat.preferred"));
  part(element, "votes").hidden = false;
}

/** @param {HTMLElement} element @param {Opinion} opinion @param {Save} save */
function wireThumbs(element, opinion, save) {
  const up = part(element, "thumb-up");
  const down = part(element, "thumb-down");
  let shown = opinion.thumb;
  let clicks = 0;

  /** @param {Opinion["thumb"]} thumb */
  function show(thumb) {
    shown = thumb;
    up.setAttribute("aria-pressed", String(thumb === "up"));
    down.setAttribute("aria-pressed", String(thumb === "down"));
    void showReasons(element, thumb === "down", opinion, save);
  }

  /** @param {"up" | "down"} clicked */
  async function vote(clicked) {
    const click = ++clicks;
    const thumb = shown === clicked ? null : clicked;
    show(thumb);
    if (!(await save({ thumb })) && click === clicks) show(opinion.thumb);
  }

  up.onclick = () => vote("up");
  down.onclick = () => vote("down");
  show(shown);
}

/** @param {HTMLElement} element @param {boolean} areAsked @param {Opinion} opinion @param {Save} save */
async function showReasons(element, areAsked, opinion, save) {
  const group = part(element, "reasons");
  if (!areAsked) return void (group.hidden = true);
  if (!group.querySelector("button")) {
    const known = await listReasons().catch(() => []); // they are optional: the vote counts without
    if (!known.length || group.querySelector("button")) return;
    group.append(...known.map((reason) => chip(reason, opinion, save)));
  }
  const isDown = part(element, "thumb-down").getAttribute("aria-pressed") === "true"; // still
  followed(() => { group.hidden = !isDown; });
}

/** @param {{key: string, label: string}} reason @param {Opinion} opinion @param {Save} save @returns {HTMLElement} */
function chip(reason, opinion, save) {
  const key = `chat.reason.${reason.key}`;
  const chosen = opinion.reasons.includes(reason.key);
  const button = el("button", { type: "button", class: "chip", "aria-pressed": String(chosen), "data-testid": `reason-${reason.key}` }, has(key) ? t(key) : reason.label);
  button.onclick = async () => {
    const isChosen = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isChosen));
    const pressed = [...button.parentElement.querySelectorAll('.chip[aria-pressed="true"]')];
    const said = pressed.map((one) => one.dataset.testid.replace("reason-", ""));
    if (!(await save({ reasons: said }))) button.setAttribute("aria-pressed", String(!isChosen));
  };
  return button;
}

/**
 * @param {HTMLElement} element @param {"comment" | "correct"} name @param {string} original what the box starts with @param {Turn} turn
 * @param {(text: string) => Promise<boolean>} save @param {Tell} tell
 */
function wireBox(element, name, original, turn, save, tell) {
  const [opener, area, button] = ["open", "text", "save"].map((end) => part(element, `${name}-${end}`));
  const box = area.closest(".box");
  const draft = `${name}.${turn.id}`;
  const stored = () => (name === "comment" ? turn.opinion.comment : turn.opinion.correction) ?? "";
  let isSaving = false;
  area.value = stored() || original;
  keepTyped(area, draft);
  opener.setAttribute("aria-pressed", String(stored() !== ""));

  /** @param {boolean} open */
  function toggle(open) {
    if (!open && box.contains(document.activeElement)) opener.focus();
    box.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    fitHeight(area);
    area.focus();
    box.scrollIntoView({ block: "nearest" });
  }

  button.onclick = async () => {
    if (isSaving) return;
    const typed = area.value.trim();
    const text = typed === original.trim() ? "" : typed; // a text that is empty or still the original says nothing
    if (text === stored()) return tell("failed", t("chat.unchanged"));
    isSaving = true;
    const ok = await save(text);
    isSaving = false;
    if (!ok) return;
    opener.setAttribute("aria-pressed", String(text !== ""));
    if (area.value.trim() !== typed) return;
    keep(draft, "");
    toggle(false);
  };
  opener.onclick = () => toggle(box.hidden);
  box.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) button.click();
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation(); // closes the box; the text in it stays
    toggle(false);
  };
}
