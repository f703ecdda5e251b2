// @ts-check
// Questions that stop the reader, and notes that do not.

import { byId, el } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

const TOAST_MS = 8000;

/**
 * Asks once, and gives what was typed ("" without a field), or null where the reader stepped back.
 * @param {{title: string, text?: string, confirm: string, danger?: boolean,
 *   field?: {label: string, value?: string, required?: boolean, multiline?: boolean, pattern?: string}}} question
 *   what is typed must match a `pattern`
 * @returns {Promise<string | null>}
 */
export function ask({ title, text = "", confirm, danger = false, field }) {
  const input = field && el(field.multiline ? "textarea" : "input", { required: field.required, pattern: field.pattern, "data-testid": "dialog-field" });
  if (input) input.value = field.value ?? "";
  const form = el("form", { method: "dialog" },
    el("h2", { id: "dialog-title" }, title),
    text && el("p", {}, text),
    input && el("label", { class: "field" }, el("span", {}, field.label), input),
    el("div", { class: "row end" },
      el("button", { type: "button", class: "quiet", "data-testid": "dialog-cancel", onclick: () => dialog.close() }, t("base.cancel")),
      el("button", { value: "yes", class: danger ? "danger" : "primary", "data-testid": "dialog-confirm" }, confirm)));
  const dialog = el("dialog", { "aria-labelledby": "dialog-title", "data-testid": "dialog" }, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? input?.value.trim() ?? "" : null);
    });
    dialog.showModal();
    (input ?? form.querySelector("button:last-child")).focus();
  });
}

/**
 * Says something in passing; with `undo` it can be taken back while it shows. `passed` is called once it cannot any more.
 * @param {string} text @param {() => unknown} [undo] @param {() => unknown} [passed]
 */
export function toast(text, undo, passed) {
  const note = el("div", { class: "toast", "data-testid": "toast" }, el("span", {}, text));
  if (undo) {
    note.append(el("button", { type: "button", class: "quiet", "data-testid": "toast-undo", onclick: () => {
      clearTimeout(timer);
      note.remove();
      undo();
    } }, t("base.undo")));
  }
  byId("toasts").append(note);
  const timer = setTimeout(() => {
    note.remove();
    passed?.();
  }, TOAST_MS);
}
