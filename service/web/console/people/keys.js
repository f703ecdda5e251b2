// @ts-check
// All keys: what each is for, what it may and when it was used last; made, rotated with an overlap, and revoked.

import { guarded } from "/web/console/frame.js";
import { listing, partOf } from "/web/console/listing.js";
import { showKey } from "/web/console/people/key.js";
import { short } from "/web/console/said.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { get, post, withQuery } from "/web/shared/api.js";
import { ask } from "/web/shared/dialog.js";
import { byId, el } from "/web/shared/dom.js";
import { t, when } from "/web/shared/i18n.js";

/**
 * @typedef {{id: string, prefix: string, label: string, role: string, scopes: string[], person_id: string, state: string, created_at_s: number,
 *   expires_at_s: number | null, last_used_at_s: number | null}} Key
 */

const DAY_S = 86_400;
const ROLES = ["person", "operator", "admin"];
const SHADES = /** @type {Record<string, string>} */ ({ good: "good", rotated: "warn", revoked: "bad" });
const section = byId("keys");
const { frame, body } = emptyTable(t("keys.all"), columnsOf("keys.", ["label", "role", "scopes", "state", "made", "ends", "used", "actions"]));

export const keys = listing({
  place: byId("key-list"),
  rows: body,
  frame,
  load: async (after) => partOf(await get(withQuery("/api/keys", { after }))),
  row,
  empty: () => t("keys.none"),
});

/** @param {Key} key @returns {HTMLElement} */
function row(key) {
  const name = key.label || t("keys.nameless");
  const isGood = key.state === "good";
  return el("tr", { "data-testid": "key-row", "data-id": key.id },
    el("th", { scope: "row" }, name, el("div", { class: "muted mono" }, key.prefix && `${key.prefix}… · `, short(key.id, 16))),
    el("td", {}, t(`keys.role.${key.role}`)),
    el("td", {}, key.scopes.length ? key.scopes.map((scope) => t(`keys.scope.${scope}`)).join(", ") : t("keys.scope.all")),
    el("td", {}, el("span", { class: `pill ${SHADES[key.state] ?? ""}`, "data-testid": "key-state" }, t(`keys.state.${key.state}`))),
    el("td", {}, when(key.created_at_s)), el("td", {}, when(key.expires_at_s)), el("td", {}, when(key.last_used_at_s)),
    el("td", {},
      isGood && el("button", { type: "button", class: "quiet", "aria-label": t("keys.rotate_one", { name }), "data-testid": "rotate", onclick: () => void rotate(key, name) }, t("keys.rotate")),
      (isGood || key.state === "rotated") && el("button", { type: "button", class: "quiet", "aria-label": t("keys.revoke_one", { name }), "data-testid": "revoke", onclick: () => void revoke(key, name) }, t("keys.revoke"))));
}

/** @param {Key} key @param {string} name */
async function rotate(key, name) {
  if (await ask({ title: t("keys.rotate_one", { name }), text: t("keys.rotate.why"), confirm: t("keys.rotate") }) === null) return;
  await guarded(section, async () => {
    const made = await post(`/api/keys/${encodeURIComponent(key.id)}/rotate`);
    await showKey(name, made.key);
    await keys.begin();
  });
}

/** @param {Key} key @param {string} name */
async function revoke(key, name) {
  if (await ask({ title: t("keys.revoke_one", { name }), text: t("keys.revoke.why"), confirm: t("keys.revoke"), danger: true }) === null) return;
  await guarded(section, async () => {
    await post(`/api/keys/${encodeURIComponent(key.id)}/revoke`);
    await keys.begin();
  });
}

byId("make-key").addEventListener("click", async () => {
  const wanted = await askForKey();
  if (wanted === null) return;
  await guarded(section, async () => {
    const made = await post("/api/keys", wanted);
    await showKey(made.card.label, made.key);
    await keys.begin();
  });
});

/** @returns {Promise<Record<string, unknown> | null>} what is wanted of a new key */
function askForKey() {
  const label = el("input", { required: true, maxlength: "200", "data-testid": "key-label" });
  const role = el("select", { "data-testid": "key-role" }, ROLES.map((name) => el("option", { value: name }, t(`keys.role.${name}`))));
  const days = el("input", { type: "number", min: "1", max: "36500", "data-testid": "key-days" });
  const field = (/** @type {string} */ name, /** @type {HTMLElement} */ control) => el("label", { class: "field" }, el("span", {}, t(`keys.new.${name}`)), control);
  const dialog = el("dialog", { "aria-labelledby": "new-key-title", "data-testid": "new-key-dialog" },
    el("form", { method: "dialog" },
      el("h2", { id: "new-key-title" }, t("keys.make")), el("p", {}, t("keys.make.why")),
      field("label", label), field("role", role), field("days", days),
      el("div", { class: "row end" },
        el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("base.cancel")),
        el("button", { value: "yes", class: "primary", "data-testid": "key-make" }, t("keys.make")))));
  document.body.append(dialog);
  dialog.showModal();
  label.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return resolve(null);
    resolve({ label: label.value.trim(), role: role.value, ...(days.value ? { expires_in_s: Number(days.value) * DAY_S } : {}) });
  }));
}
