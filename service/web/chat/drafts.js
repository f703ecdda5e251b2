// @ts-check
// What is typed and not sent, kept in this browser: a reload, a crash or a lost network takes nothing away.

const PREFIX = "ratchet.";

/** @typedef {{text: string, id: string | null}} Unsent a question whose answer was not seen whole; `id` is that answer's */

/** @param {string} key @param {string} text "" to forget it */
export function keep(key, text) {
  try {
    if (text) localStorage.setItem(PREFIX + key, text);
    else localStorage.removeItem(PREFIX + key);
  } catch { /* storage is full or switched off: the page works without */ }
}

/** @param {string} key @returns {string} "" where nothing is kept */
export function kept(key) {
  try {
    return localStorage.getItem(PREFIX + key) ?? "";
  } catch {
    return "";
  }
}

/** Where a conversation's draft is kept. @param {string | null} conversation */
export function draftOf(conversation) {
  return `draft.${conversation ?? "new"}`;
}

/** @param {string | null} conversation @param {Unsent | null} unsent */
export function keepUnsent(conversation, unsent) {
  keep(`unsent.${conversation ?? "new"}`, unsent ? JSON.stringify(unsent) : "");
}

/** @param {string | null} conversation @returns {Unsent | null} */
export function keptUnsent(conversation) {
  const text = kept(`unsent.${conversation ?? "new"}`);
  return text ? JSON.parse(text) : null;
}

/** Keeps what is typed into a field until it is saved, and puts back what was kept. @param {HTMLTextAreaElement} area @param {string} key */
export function keepTyped(area, key) {
  area.addEventListener("input", () => keep(key, area.value));
  area.value = kept(key) || area.value;
}

/** Forgets all that this browser keeps. */
export function forgetAll() {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  } catch { /* then there is nothing */ }
}
