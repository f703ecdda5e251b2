// @ts-check
// The list of conversations: beside the chat where there is room, else a drawer over it.

import { byId } from "/web/shared/dom.js";

const NARROW = matchMedia("(max-width: 52rem)");

export function startDrawer() {
  byId("menu").onclick = () => showDrawer(true);
  byId("shade").onclick = () => showDrawer(false);
  NARROW.addEventListener("change", () => showDrawer(false));
}

/** Whether it is open over the chat. */
export function isDrawerOpen() {
  return document.body.classList.contains("drawer");
}

/** @param {boolean} isOpen */
export function showDrawer(isOpen) {
  const opens = isOpen && NARROW.matches;
  const closes = !opens && isDrawerOpen();
  document.body.classList.toggle("drawer", opens);
  byId("menu").setAttribute("aria-expanded", String(opens));
  byId("shade").hidden = !opens;
  byId("chat").inert = opens;
  if (opens) byId("new-chat").focus();
  if (closes) byId("menu").focus();
}
