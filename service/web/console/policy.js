// @ts-check
// The rules in force with their examples, and a box to hold a text against them.

import { fillFrom, guarded, page } from "/web/console/frame.js";
import { short } from "/web/console/said.js";
import { get, post } from "/web/shared/api.js";
import { byId, el, fill, part } from "/web/shared/dom.js";
import { number, t } from "/web/shared/i18n.js";

/**
 * @typedef {{prompt: string, breaks: boolean, answer?: string}} Case
 * @typedef {{name: string, reason: string, severity: string, applies_to: string, action: string, pattern: string[], asked: string[], words: string[],
 *   near: string[], unless: string[], classifier: string, threshold: number, prompt: string, inline: boolean, replacement: string,
 *   kept_by: string[], examples: Case[]}} Rule
 * @typedef {{rule: string, severity: string, action: string, reason: string, where: "prompt" | "answer", start: number, end: number, replacement: string}} Breach
 */

const SHADES = /** @type {Record<string, string>} */ ({ low: "", medium: "warn", high: "bad" });
const form = /** @type {HTMLFormElement} */ (byId("try"));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void hold();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
page(() => fillFrom(byId("rules"), rules));

/** @returns {Promise<HTMLElement[]>} */
async function rules() {
  /** @type {{sha256: string, rules: Rule[]}} */
  const policy = await get("/api/policy");
  if (!policy.rules.length) return [el("p", { class: "muted" }, t("policy.none"))];
  return [
    el("p", { class: "muted" }, t("policy.count", { count: policy.rules.length }), " ", t("policy.version"), " ", short(policy.sha256)),
    el("div", { class: "rules" }, policy.rules.map(card)),
  ];
}

/** @param {Rule} rule */
function card(rule) {
  return el("article", { class: "card rule", id: `rule-${rule.name}`, tabindex: "-1", "data-testid": "rule", "data-rule": rule.name },
    el("div", { class: "row" }, el("h3", {}, rule.name), severity(rule.severity), el("span", { class: "pill" }, t(`policy.action.${rule.action}`)),
      el("span", { class: "pill" }, t(`policy.about.${rule.applies_to}`))),
    el("p", { lang: "en" }, rule.reason),
    rule.replacement && el("blockquote", { lang: "en" }, rule.replacement),
    el("details", {}, el("summary", {}, t("policy.how")), matcher(rule)),
    rule.examples.length > 0 && el("details", {},
      el("summary", {}, t("policy.examples", { count: rule.examples.length })), el("ul", { class: "examples" }, rule.examples.map(example))));
}

/** @param {string} name */
const severity = (name) => el("span", { class: `pill ${SHADES[name] ?? ""}` }, t(`policy.severity.${name}`));

/** @param {Rule} rule */
function matcher(rule) {
  const lists = /** @type {const} */ (["pattern", "asked", "words", "near", "unless", "kept_by"]);
  return el("dl", { class: "matcher" },
    lists.filter((name) => rule[name].length).map((name) => [el("dt", {}, t(`policy.${name}`)),
      el("dd", { lang: "en" }, el("ul", {}, rule[name].map((text) => el("li", {}, el("code", {}, text)))))]),
    rule.classifier && [el("dt", {}, t("policy.classifier")), el("dd", {}, el("code", {}, rule.classifier), ` ≥ ${number(rule.threshold)}`)],
    rule.prompt && [el("dt", {}, t("policy.model")), el("dd", { lang: "en" }, rule.prompt)]);
}

/** @param {Case} one */
function example(one) {
  const fillIn = () => {
    form.prompt.value = one.prompt;
    form.answer.value = one.answer ?? "";
    form.requestSubmit();
    form.scrollIntoView({ block: "nearest" });
  };
  return el("li", {},
    el("span", { class: `pill ${one.breaks ? "bad" : "good"}` }, t(one.breaks ? "policy.breaks" : "policy.keeps")), " ",
    el("span", { lang: "en" }, one.prompt, one.answer && [" → ", one.answer]), " ",
    el("button", {
      type: "button", class: "quiet", "aria-label": t("policy.try_this", { text: one.answer || one.prompt }), "data-testid": "try-example", onclick: fillIn,
    }, t("policy.try.short")));
}

/** Holds what is typed against all rules. */
async function hold() {
  const texts = { prompt: form.prompt.value, answer: form.answer.value };
  if (!texts.prompt.trim() && !texts.answer.trim()) return form.prompt.focus();
  part(form, "try-send").disabled = true;
  byId("tried").setAttribute("aria-busy", "true");
  await guarded(byId("tried"), async () => {
    /** @type {{breaches: Breach[], verdict: Breach | null}} */
    const { breaches, verdict } = await post("/api/policy/try", texts);
    fill(byId("tried"), outcome(verdict, breaches.length), breaches.map((breach) => found(breach, texts[breach.where])));
  });
  byId("tried").removeAttribute("aria-busy");
  part(form, "try-send").disabled = false;
}

/** @param {Breach | null} verdict @param {number} count */
function outcome(verdict, count) {
  if (verdict) return el("p", { class: "trouble", "data-testid": "verdict" }, t(`policy.verdict.${verdict.action}`, { rule: verdict.rule }));
  const said = count ? "policy.verdict.declined" : "policy.verdict.none";
  return el("p", { class: "fine", "data-testid": "verdict" }, t(said));
}

/** Where a rule is broken. @param {Breach} breach @param {string} text */
function found(breach, text) {
  const go = (/** @type {Event} */ event) => {
    event.preventDefault();
    byId(`rule-${breach.rule}`)?.focus();
  };
  const characters = [...text]; // the server counts characters, not the halves that UTF-16 makes of some
  const slice = (/** @type {number} */ from, /** @type {number} */ to) => characters.slice(from, to).join("");
  return el("div", { class: "breach", "data-testid": "breach", "data-rule": breach.rule },
    el("div", { class: "row" }, el("a", { href: `#rule-${breach.rule}`, onclick: go }, breach.rule), severity(breach.severity),
      el("span", { class: "pill" }, t(`policy.action.${breach.action}`)), el("span", { class: "muted" }, t(`policy.in.${breach.where}`))),
    el("p", { class: "words" }, slice(0, breach.start), el("mark", { "data-testid": "mark" }, slice(breach.start, breach.end)), slice(breach.end, characters.length)),
    breach.replacement && el("p", { class: "muted" }, t("policy.instead"), " ", el("span", { lang: "en" }, breach.replacement)));
}
