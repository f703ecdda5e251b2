// @ts-check
// ‹ 2/3 ›: the way to what else was asked, or answered, in the same place.

import { part } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

/**
 * @param {HTMLElement} element of a turn @param {string[]} keys of all turns of its place, by age @param {string} key its own
 * @param {(step: number) => void} turn
 */
export function showSiblings(element, keys, key, turn) {
  const group = part(element, "siblings");
  const place = keys.indexOf(key);
  group.hidden = keys.length < 2;
  const text = t("chat.place", { place: place + 1, count: keys.length });
  if (part(group, "sibling-place").textContent !== text) part(group, "sibling-place").textContent = text;
  wire(part(group, "previous"), place > 0, () => turn(-1));
  wire(part(group, "next"), place < keys.length - 1, () => turn(1));
  group.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    turn(step);
  };
}

/** Not `disabled`, which would take the focus from who goes through them by keyboard. @param {HTMLElement} button @param {boolean} can @param {() => void} act */
function wire(button, can, act) {
  button.setAttribute("aria-disabled", String(!can));
  button.onclick = () => { if (can) act(); };
}

/** Gives the focus to the arrows of the turn that is shown now. @param {HTMLElement} element @param {number} step */
export function focusSiblings(element, step) {
  part(element, step < 0 ? "previous" : "next")?.focus();
}
