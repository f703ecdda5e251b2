// @ts-check
// The reader's settings: language and colours, whether cycles may learn from them, what is kept of them, and its end.

import { ServerError, call, del, download, explain, get, post } from "/web/shared/api.js";
import { ask } from "/web/shared/dialog.js";
import { byId, el, fill } from "/web/shared/dom.js";
import { language, t } from "/web/shared/i18n.js";
import { wirePreferences } from "/web/shared/preferences.js";
import { forgetAll } from "./drafts.js";

/** @typedef {{learn: boolean, kept: Record<string, number>}} Me */

const dialog = /** @type {HTMLDialogElement} */ (byId("settings"));
const learn = /** @type {HTMLInputElement} */ (byId("learn"));

/** Wires the dialog and the button that opens it. */
export function startSettings() {
  wirePreferences();
  byId("open-settings").onclick = () => {
    dialog.showModal();
    void guarded(async () => show(await get("/v1/me")));
  };
  learn.onchange = () => void guarded(async () => show(await post("/v1/me", { learn: learn.checked })), () => { learn.checked = !learn.checked; });
  byId("export").onclick = () => void guarded(() => download("/v1/me/export", "ratchet-export.json"));
  document.getElementById("sign-out")?.addEventListener("click", () => void guarded(signOut));
  byId("delete-me").onclick = () => void guarded(deleteMe);
}

/** @param {() => Promise<unknown>} work @param {() => void} [undo] */
async function guarded(work, undo) {
  const trouble = byId("settings-trouble");
  trouble.hidden = true;
  try {
    await work();
  } catch (error) {
    undo?.();
    trouble.textContent = explain(error);
    trouble.hidden = false;
  }
}

async function signOut() {
  await del("/v1/session");
  forgetAll();
  location.replace("/");
}

/** @param {Me} me */
function show(me) {
  learn.checked = me.learn;
  learn.disabled = false;
  const counted = Object.entries(me.kept).filter(([, count]) => count > 0).map(([kind, count]) => t(`chat.kept.${kind}`, { count }));
  const list = new Intl.ListFormat(language, { type: "conjunction" }).format(counted);
  byId("kept").textContent = counted.length ? t("chat.kept.list", { list }) : t("chat.kept.nothing");
}

async function deleteMe() {
  const word = t("chat.delete_me.word");
  const typed = await ask({
    title: t("chat.delete_me"),
    text: t("chat.delete_me.text"),
    confirm: t("chat.delete_me.confirm"),
    danger: true,
    field: { label: t("chat.delete_me.type", { word }), required: true, pattern: word },
  });
  if (typed !== word) return;
  const versions = await forgotten();
  forgetAll();
  fill(dialog, el("h2", { id: "settings-title" }, t("chat.deleted_me")),
    el("p", { "data-testid": "deleted-me" }, t("chat.deleted_me.text"), " ", versions > 0 && t("chat.deleted_me.versions", { count: versions })),
    el("form", { method: "dialog", class: "row end" }, el("button", { class: "primary", "data-testid": "start-again" }, t("base.close"))));
  dialog.addEventListener("close", () => location.replace("/")); // as somebody new
}

/** @returns {Promise<number>} how many versions had learnt from the reader */
async function forgotten() {
  try {
    return (await (await call("DELETE", "/v1/me")).json()).adapters.length;
  } catch (error) {
    if (error instanceof ServerError && error.status === 404) return 0; // there was nothing
    throw error;
  }
}
