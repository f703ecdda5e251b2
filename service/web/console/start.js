// @ts-check
// Starting a cycle: which method, on what, and first, for who wants it, a dry run of what it would learn.

import { guarded } from "/web/console/frame.js";
import { METHODS, named } from "/web/console/outcome.js";
import { showPreview } from "/web/console/preview.js";
import { sectionOf } from "/web/console/traffic.js";
import { del, get, post, withQuery } from "/web/shared/api.js";
import { ask, toast } from "/web/shared/dialog.js";
import { el, fill, part } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

/** @param {() => unknown} after once one began @param {{dryRun?: boolean}} [options] whether it begins with the dry run */
export function openStart(after, { dryRun = false } = {}) {
  const shown = el("div", { "aria-live": "polite", class: "preview", "data-testid": "preview" });
  const form = el("form", { method: "dialog" },
    el("h2", { id: "start-title" }, t("cycles.start")),
    el("label", { class: "field" }, el("span", {}, t("cycles.method")), el("select", { "data-testid": "method" },
      el("option", { value: "" }, t("cycles.method.set")), METHODS.map((name) => el("option", { value: name }, named("cycles.method.", name))))),
    el("label", { class: "field" }, el("span", {}, t("cycles.corpus")), el("input", { "data-testid": "corpus", autocomplete: "off" })),
    shown,
    el("div", { class: "row end" },
      el("button", { type: "button", class: "quiet", "data-testid": "start-cancel", onclick: () => dialog.close() }, t("base.close")),
      el("button", { type: "button", "data-testid": "preview-run", onclick: () => look() }, t("cycles.dry_run")),
      el("button", { class: "primary", "data-testid": "start-confirm" }, t("cycles.start.now"))));
  const dialog = el("dialog", { class: "wide", "aria-labelledby": "start-title", "data-testid": "start-dialog" }, form);
  const wanted = () => ({ method: part(form, "method").value || null, corpus: part(form, "corpus").value.trim() });
  const look = async () => {
    fill(shown, el("p", { class: "muted" }, t("cycles.preview.running")));
    const preview = await guarded(shown, () => get(withQuery("/api/cycles/preview", wanted())));
    shown.querySelector(".muted")?.remove();
    if (preview) fill(shown, showPreview(preview));
  };
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    void guarded(shown, async () => {
      const cycle = await post("/api/cycles", wanted());
      dialog.close();
      toast(t("cycles.started", { id: String(cycle.id) }));
      await after();
    });
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  part(form, dryRun ? "preview-run" : "method").focus();
  if (dryRun) void look();
}

/** @param {Element} place in whose section it is told what went wrong @param {{id: number}} cycle that runs @param {() => unknown} after */
export async function askToCancel(place, cycle, after) {
  const id = String(cycle.id);
  const answer = await ask({ title: t("cycles.cancel.title", { id }), text: t("cycles.cancel.text"), confirm: t("cycles.cancel"), danger: true });
  if (answer === null) return;
  await guarded(sectionOf(place), async () => {
    await del("/api/cycles/running");
    toast(t("cycles.cancelled", { id }));
    await after();
  });
}
