// @ts-check
// The conversation stays at its end while it grows, but only for a reader who is there.

import { byId } from "/web/shared/dom.js";

const NEAR_PX = 40;

/** Changes the conversation. @param {() => void} change */
export function followed(change) {
  const log = byId("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  change();
  if (atEnd) toEnd();
}

export function toEnd() {
  const log = byId("log");
  log.scrollTop = log.scrollHeight;
}

/** Makes a text area as high as what it holds. @param {HTMLTextAreaElement} area */
export function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
}
