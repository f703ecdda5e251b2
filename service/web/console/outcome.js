// @ts-check
// How pages name what the loop is made of: cycles and their ends, versions, and what the service says of them.

import { el } from "/web/shared/dom.js";
import { has, language, t } from "/web/shared/i18n.js";

/**
 * @typedef {{id: number, trigger: string, method: string, state: string, started_at_s: number, ended_at_s: number | null,
 *   adapter: string | null, reasons: string[], corpus: string}} Cycle
 * @typedef {{stage: string, done: number, total: number, detail: string, loss: number | null, rows_per_s: number | null,
 *   eta_s: number | null}} Progress
 */

export const STAGES = ["collect", "curate", "train", "evaluate", "gate", "release"];
export const METHODS = ["mixed", "cpt", "sft", "dpo", "kto", "reward", "rloo", "grpo"];

/** @type {Record<string, string>} */
const TONES = {
  promoted: "good", trained: "good", promote: "good", staged: "warn", inconclusive: "warn", rejected: "bad", reject: "bad", failed: "bad",
  live: "good", waiting_approval: "warn", held: "warn", rolled_back: "bad",
};

/** The text of a word the service has, or the word itself where there is none. @param {string} stem of the keys @param {string} word */
export function named(stem, word) {
  return has(stem + word) ? t(stem + word) : word;
}

/** @param {string} stem @param {string} word @param {Record<string, unknown>} [attributes] */
export function pill(stem, word, attributes = {}) {
  return el("span", { class: `pill ${TONES[word] ?? ""}`, ...attributes }, named(stem, word));
}

/** The end of a cycle, or that it runs. @param {string} state @param {string} [testid] */
export function statePill(state, testid) {
  return pill("cycles.state.", state, { "data-testid": testid, "data-state": state });
}

/** What the service says is English, whatever the page is. @param {string} text @param {Record<string, unknown>} [attributes] */
export function told(text, attributes = {}) {
  return el("span", { lang: "en", ...attributes }, text);
}

/** Why a cycle ended so, in the reader's language where the report has it. @param {{summary: string, summaries?: Record<string, string>}} report */
export function summaryOf({ summary, summaries }) {
  const own = summaries?.[language];
  return own || summary ? el("p", { lang: own ? null : "en", "data-testid": "summary" }, own || summary) : null;
}

/** @param {string[]} reasons @param {string} [testid] */
export function reasonList(reasons, testid) {
  return reasons.length ? el("ul", { class: "reasons", lang: "en", "data-testid": testid }, reasons.map((reason) => el("li", {}, reason))) : null;
}

/** @param {string | null | undefined} name @param {string} [testid] */
export function versionLink(name, testid) {
  return name ? el("a", { href: `/console/adapters/${encodeURIComponent(name)}`, class: "mono", "data-testid": testid }, name) : "–";
}

/** @param {number} id */
export function cycleLink(id) {
  return el("a", { href: `/console/cycles/${id}` }, t("cycles.one", { id: String(id) }));
}

/** A bar of how far something is. @param {number} done @param {number} total @param {string} label @param {string} [testid] */
export function bar(done, total, label, testid) {
  return el("progress", { value: Math.min(done, total), max: total || 1, "aria-label": label, "data-testid": testid });
}
