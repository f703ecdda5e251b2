// @ts-check
// An answer on the page: its words as they come, how it ended, and what can be done with it.

import { copy } from "/web/shared/copy.js";
import { copyOf, part } from "/web/shared/dom.js";
import { exactly, t } from "/web/shared/i18n.js";
import { Rendered } from "/web/shared/markdown.js";
import { takeFeedback } from "./feedback.js";
import { followed } from "./scroll.js";
import { showSiblings } from "./siblings.js";

/**
 * @typedef {import("./talk.js").Talk} Talk
 * @typedef {import("./tree.js").Turn} Turn
 * @typedef {{again: (turn: Turn) => void, edited: (turn: Turn, text: string) => void, turned: (turn: Turn, step: number) => void}} Actions
 * @typedef {{element: HTMLElement, update: (talk: Talk) => void, grew: () => void}} View
 */

/** @param {Turn} turn @param {Actions} actions @returns {View} */
export function answerView(turn, actions) {
  const element = copyOf("answer-template");
  const text = part(element, "answer");
  const rendered = new Rendered(text);
  let shownState = "";
  let frame = 0;
  wireActions(element, turn, actions);

  function grew() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      followed(() => rendered.show(turn.content));
    });
  }

  /** @param {Talk} talk */
  function update(talk) {
    if (turn.state !== "streaming") rendered.show(turn.content);
    showSiblings(element, talk.tree.siblings(turn.key), turn.key, (step) => actions.turned(turn, step));
    if (turn.id) text.dataset.completionId = turn.id;
    text.dataset.model = turn.model;
    const state = `${turn.state} ${turn.note} ${turn.content.length}`;
    if (state === shownState) return;
    shownState = state;
    showState(element, text, turn);
    if (turn.state !== "done") return;
    if (turn.id) takeFeedback(element, turn);
    void rendered.finish();
  }

  if (turn.content) rendered.show(turn.content);
  return { element, update, grew };
}

/** @param {HTMLElement} element @param {HTMLElement} text @param {Turn} turn */
function showState(element, text, turn) {
  const isOver = turn.state !== "streaming";
  const isNothing = isOver && turn.state !== "deleted" && (turn.state === "failed" || !turn.content);
  text.dataset.state = turn.state;
  text.setAttribute("aria-busy", String(!isOver));
  element.querySelector(".failure")?.toggleAttribute("hidden", !isNothing);
  part(element, "error").textContent = isNothing ? turn.note || t("chat.nothing_said") : "";
  part(element, "ending").textContent = turn.state === "deleted" ? t("chat.deleted_answer") : isNothing ? "" : turn.note;
  for (const name of ["copy", "which"]) part(element, name).hidden = !isOver || isNothing || turn.state === "deleted";
  part(element, "again").hidden = !isOver || isNothing;
}

/** @param {HTMLElement} element @param {Turn} turn @param {Actions} actions */
function wireActions(element, turn, actions) {
  const which = part(element, "which");
  const version = part(element, "version");
  part(element, "again").onclick = part(element, "retry").onclick = () => actions.again(turn);
  part(element, "copy").onclick = async () => {
    if (await copy(turn.content)) part(element, "feedback-status").textContent = t("base.copied");
  };
  which.onclick = () => {
    version.hidden = !version.hidden;
    which.setAttribute("aria-expanded", String(!version.hidden));
    version.textContent = turn.state === "client" ? t("chat.by_client") : t("chat.answered_by", { version: turn.model, time: exactly(turn.at_s) });
  };
}
