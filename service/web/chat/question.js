// @ts-check
// A question on the page, and its editing: what is sent instead begins a branch.

import { copyOf, part } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";
import { keep, keepTyped } from "./drafts.js";
import { fitHeight } from "./scroll.js";
import { showSiblings } from "./siblings.js";

/** @param {import("./tree.js").Turn} turn @param {import("./answer.js").Actions} actions @returns {import("./answer.js").View} */
export function questionView(turn, actions) {
  const element = copyOf("question-template");
  part(element, "question").textContent = turn.content;
  if (turn.role === "system") {
    element.setAttribute("aria-label", t("chat.system"));
    element.classList.add("system");
    part(element, "edit").hidden = true;
  } else {
    wireEditing(element, turn, actions);
  }
  return {
    element,
    update(talk) {
      showSiblings(element, talk.tree.siblings(turn.key), turn.key, (step) => actions.turned(turn, step));
    },
    grew() {},
  };
}

/** @param {HTMLElement} element @param {import("./tree.js").Turn} turn @param {import("./answer.js").Actions} actions */
function wireEditing(element, turn, actions) {
  const [text, box, area, opener] = ["question", "edit-box", "edit-text", "edit"].map((name) => part(element, name));
  const draft = `edit.${turn.key}`;

  /** @param {boolean} isOpen */
  function toggle(isOpen) {
    box.hidden = !isOpen;
    text.hidden = isOpen;
    opener.hidden = isOpen;
    element.classList.toggle("editing", isOpen);
    if (!isOpen) return opener.focus();
    fitHeight(area);
    area.focus();
  }

  function send() {
    const typed = area.value.trim();
    if (!typed) return;
    keep(draft, "");
    toggle(false);
    actions.edited(turn, typed);
  }

  function cancel() {
    keep(draft, "");
    area.value = turn.content;
    toggle(false);
  }

  area.value = turn.content;
  keepTyped(area, draft);
  area.addEventListener("input", () => fitHeight(area));
  opener.onclick = () => toggle(true);
  part(element, "edit-cancel").onclick = cancel;
  part(element, "edit-send").onclick = send;
  box.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.isComposing || event.target !== area) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      cancel();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    }
  };
}
