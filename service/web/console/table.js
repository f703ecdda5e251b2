// @ts-check
// Tables that scroll by themselves where they are wider than the screen.

import { el } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

/** @typedef {import("/web/shared/dom.js").Child} Child */

/**
 * @param {string} caption what the table shows @param {(string | {label: string, number: true})[]} columns
 * @param {Child[][]} rows the first cell of each names it @param {string} [testid] @returns {HTMLElement}
 */
export function table(caption, columns, rows, testid) {
  const isNumber = columns.map((column) => typeof column !== "string");
  const cell = (/** @type {Child} */ child, /** @type {number} */ place) =>
    place === 0 ? el("th", { scope: "row" }, child) : el("td", { class: isNumber[place] && "number" }, child);
  const { frame, body } = emptyTable(caption, columns, testid);
  body.append(...rows.map((row) => el("tr", {}, row.map(cell))));
  return frame;
}

/**
 * A table whose rows come later. @param {string} caption @param {(string | {label: string, number: true})[]} columns @param {string} [testid]
 * @returns {{frame: HTMLElement, body: HTMLElement}}
 */
export function emptyTable(caption, columns, testid) {
  const body = el("tbody");
  const head = columns.map((column) => (typeof column === "string" ? el("th", { scope: "col" }, column) : el("th", { scope: "col", class: "number" }, column.label)));
  const frame = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { "data-testid": testid }, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)), body));
  return { frame, body };
}

/** A column of numbers. @param {string} label @returns {{label: string, number: true}} */
export function figure(label) {
  return { label, number: true };
}

/** Columns by the messages that name them. @param {string} area the beginning of their keys, "data." @param {string[]} names @param {string[]} [figures] those that hold numbers */
export function columnsOf(area, names, figures = []) {
  return names.map((name) => {
    const label = t(area + name);
    return figures.includes(name) ? figure(label) : label;
  });
}
