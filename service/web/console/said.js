// @ts-check
// What was said, and who said it, as it is shown everywhere in the console.

import { el } from "/web/shared/dom.js";
import { number, t } from "/web/shared/i18n.js";
import { withQuery } from "/web/shared/api.js";

const LONG = 480; // characters from which a text is folded
const SHOWN = 280;

/** A text as it was written, folded where it is long. @param {string} text @returns {HTMLElement} */
export function words(text) {
  if (text.length <= LONG) return el("div", { class: "words", dir: "auto" }, text);
  const begin = `${[...text.slice(0, SHOWN)].slice(0, -1).join("")}…`; // not half of a character
  return el("details", { class: "words", dir: "auto" }, el("summary", {}, el("span", { class: "begin" }, begin)), text);
}

/** A question and its answer. @param {string} question @param {string} answer @returns {HTMLElement} */
export function exchange(question, answer) {
  return el("dl", { class: "exchange" },
    el("dt", {}, t("data.question")), el("dd", {}, words(question)),
    el("dt", {}, t("data.answer")), el("dd", {}, words(answer)));
}

/** @param {string | null} name of a version @returns {Node} */
export function versionLink(name) {
  if (!name) return document.createTextNode("–");
  return el("a", { href: `/console/adapters/${encodeURIComponent(name)}`, class: "mono" }, name);
}

/** The page of the answers that these conditions find. @param {Record<string, unknown>} conditions @returns {string} */
export function answersAddress(conditions) {
  return withQuery("/console/data", { tab: "answers", ...conditions });
}

/** A number that leads to the answers behind it. @param {number} count @param {Record<string, unknown>} conditions @returns {Node} */
export function countLink(count, conditions) {
  return count ? el("a", { href: answersAddress(conditions) }, number(count)) : document.createTextNode(number(count));
}

/** An id, short, and whole on asking. @param {string} id @param {number} [length] @returns {HTMLElement} */
export function short(id, length = 12) {
  return el("span", { class: "mono", title: id }, id.length > length ? `${id.slice(0, length)}…` : id);
}

/** What the service says in English only, marked as such. @param {string} text @returns {HTMLElement} */
export function english(text) {
  return el("span", { lang: "en" }, text);
}
