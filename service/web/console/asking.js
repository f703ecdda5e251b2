// @ts-check
// A question to several versions at once, and their answers side by side. Nothing of it is kept.

import { guarded } from "/web/console/frame.js";
import { versionLink } from "/web/console/outcome.js";
import { post } from "/web/shared/api.js";
import { el, fill } from "/web/shared/dom.js";
import { duration, language, t } from "/web/shared/i18n.js";

/**
 * @typedef {{role: string, content: string}} Turn
 * @typedef {{version: string, content: string, finish_reason: string | null, tokens: number | null, latency_ms: number, loaded: boolean}} Said
 */

/** The box, and a way to ask by it. @param {string[]} versions @returns {{section: HTMLElement, ask: (turns: Turn[]) => Promise<void>}} */
export function askBox(versions) {
  const text = el("textarea", { rows: "3", required: true, dir: "auto", "data-testid": "ask-text" });
  const names = new Intl.ListFormat(language).format(versions);
  const send = el("button", { class: "primary", "data-testid": "ask-send" }, t("compare.ask.send", { names }));
  const answers = el("div", { class: "answers", "aria-live": "polite", "data-testid": "answers" });
  const form = el("form", {},
    el("label", { class: "field" }, el("span", {}, t("compare.ask.label")), text),
    el("div", { class: "row" }, send, el("span", { class: "muted" }, t("compare.ask.kept"))));
  const section = el("section", { class: "card asking", "aria-label": t("compare.ask") }, el("h3", {}, t("compare.ask")), form, answers);

  /** @param {Turn[]} turns */
  const ask = async (turns) => {
    send.disabled = true;
    fill(answers, el("p", { class: "muted" }, t("compare.ask.waiting")));
    const found = await guarded(section, () => post("/api/adapters/ask", { versions, messages: turns }));
    fill(answers, found?.map(answer));
    send.disabled = false;
  };
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    void ask([{ role: "user", content: text.value }]);
  });
  return { section, ask: async (turns) => {
    text.value = turns.at(-1)?.content ?? "";
    section.scrollIntoView({ block: "nearest" });
    text.focus();
    await ask(turns);
  } };
}

/** @param {Said} said */
function answer(said) {
  const how = [duration(said.latency_ms / 1000), said.tokens !== null && t("compare.ask.tokens", { count: said.tokens }),
    said.finish_reason === "length" && t("compare.ask.cut"), said.loaded && t("compare.ask.loaded")];
  return el("article", { class: "card", "data-testid": "answer", "data-version": said.version },
    el("h4", {}, versionLink(said.version)),
    el("p", { class: "said", dir: "auto" }, said.content || t("compare.ask.empty")),
    el("p", { class: "muted reason" }, how.filter(Boolean).join(" · ")));
}
