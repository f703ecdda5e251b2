// @ts-check
// A person with a key of their own, which is shown this once.

import { explain, post } from "/web/shared/api.js";
import { ask, toast } from "/web/shared/dialog.js";
import { el } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

/** Asks for a name, makes the person and shows their key. @returns {Promise<boolean>} whether somebody is new */
export async function addPerson() {
  const name = await ask({ title: t("people.add"), text: t("people.add.why"), confirm: t("people.add.make"), field: { label: t("people.name"), required: true } });
  if (name === null) return false;
  try {
    const made = await post("/api/people", { name });
    await showKey(made.name, made.key);
    return true;
  } catch (error) {
    toast(explain(error));
    return false;
  }
}

/** Shows a key until the reader is done with it. @param {string} name @param {string} key @returns {Promise<void>} */
export function showKey(name, key) {
  const field = el("input", { readonly: true, value: key, class: "mono key", "aria-label": t("people.key"), "data-testid": "new-key" });
  const copy = el("button", { type: "button", class: "primary", "data-testid": "copy-key", onclick: () => void copyKey(field, copy) }, t("people.copy"));
  const dialog = el("dialog", { "aria-labelledby": "key-title", "data-testid": "key-dialog" },
    el("h2", { id: "key-title" }, t("people.key_of", { name })), el("p", {}, t("people.key.once")),
    el("div", { class: "row" }, field, copy),
    el("form", { method: "dialog", class: "row end" }, el("button", { "data-testid": "key-done" }, t("base.close"))));
  document.body.append(dialog);
  dialog.showModal();
  field.select();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    resolve();
  }));
}

/** @param {HTMLInputElement} field @param {HTMLElement} button */
async function copyKey(field, button) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // the clipboard is there on https and localhost only
  }
  button.textContent = t("people.copied");
}
