// @ts-check
// Keys that work wherever the reader is.

import { byId } from "/web/shared/dom.js";
import { isDrawerOpen, showDrawer } from "./drawer.js";

/** @param {{stop: () => void, begin: () => void}} hooks */
export function startKeys(hooks) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      if (isDrawerOpen()) showDrawer(false);
      else hooks.stop();
    } else if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.code === "KeyO") {
      event.preventDefault();
      hooks.begin();
    } else if (event.key === "/" && !isTyping(event.target)) {
      event.preventDefault();
      showDrawer(true);
      byId("search").focus();
    }
  });
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}
