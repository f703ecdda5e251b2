// @ts-check
// Line plots with intervals by uPlot, and the same numbers as a table for those who cannot see them.

import { el } from "/web/shared/dom.js";
import { number, t } from "/web/shared/i18n.js";
import uPlot from "/web/vendor/uplot.js";

/**
 * @typedef {{label: string, values: (number | null)[], lower?: (number | null)[], upper?: (number | null)[]}} Series
 * @typedef {{title: string, x: {label: string, values: number[], isTime?: boolean, names?: string[]}, series: Series[], height?: number,
 *   format?: (value: number) => string}} Plot `names` are what stands at each value of x, where that is no number of itself
 */

const HUES = ["--plot-1", "--plot-2", "--plot-3", "--plot-4", "--plot-5", "--plot-6"];

/** A figure that follows its width and the theme. @param {Plot} plot @returns {HTMLElement} */
export function lines(plot) {
  const place = el("div", { class: "plot", "aria-hidden": "true" });
  const figure = el("figure", { role: "group", "aria-label": plot.title }, el("figcaption", {}, plot.title), place, asTable(plot));
  /** @type {uPlot | null} */
  let drawn = null;
  const draw = () => {
    if (!place.isConnected || !place.clientWidth) return;
    drawn?.destroy();
    drawn = new uPlot(optionsOf(plot, place.clientWidth), dataOf(plot), place);
  };
  new ResizeObserver(() => (drawn ? drawn.setSize({ width: place.clientWidth, height: plot.height ?? 220 }) : draw())).observe(place);
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return figure;
}

/** @param {string} name @returns {string} */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** @param {Plot} plot @returns {any} each series, and after it the ends of its intervals */
function dataOf(plot) {
  return [plot.x.values, ...plot.series.flatMap((one) => [one.values, ...(one.lower && one.upper ? [one.lower, one.upper] : [])])];
}

/** @param {Plot} plot @param {number} width @returns {any} */
function optionsOf(plot, width) {
  const format = plot.format ?? ((value) => number(value, 3));
  /** @type {any[]} */
  const series = [plot.x.names ? { label: plot.x.label, value: nameOf(plot.x.names) } : { label: plot.x.label }];
  /** @type {any[]} */
  const bands = [];
  plot.series.forEach((one, place) => {
    const stroke = colour(HUES[place % HUES.length]);
    const value = (/** @type {unknown} */ _, /** @type {number | null} */ raw) => (raw === null ? "–" : format(raw));
    series.push({ label: one.label, stroke, width: 2, value, points: { show: plot.x.values.length < 40 } });
    if (!one.lower || !one.upper) return;
    const edge = { stroke: "transparent", points: { show: false }, value };
    bands.push({ series: [series.length + 1, series.length], fill: `color-mix(in srgb, ${stroke} 18%, transparent)` });
    series.push({ ...edge, label: `${one.label} ↓` }, { ...edge, label: `${one.label} ↑` });
  });
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const yValues = (/** @type {unknown} */ _, /** @type {number[]} */ splits) => splits.map(format);
  const xAxis = plot.x.names ? { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] } : axis; // there is nothing between two names
  return { width, height: plot.height ?? 220, series, bands, scales: { x: { time: Boolean(plot.x.isTime) } }, axes: [xAxis, { ...axis, values: yValues, size: 64 }] };
}

/** What the legend says of the place that is pointed at. @param {string[]} names */
function nameOf(names) {
  return (/** @type {unknown} */ _, /** @type {unknown} */ __, /** @type {unknown} */ ___, /** @type {number | null} */ place) => (place === null ? "–" : names[place]);
}

/** @param {Plot} plot */
function asTable(plot) {
  const format = plot.format ?? ((value) => number(value, 3));
  const cell = (/** @type {number | null | undefined} */ value) => (value === null || value === undefined ? "–" : format(value));
  const x = (/** @type {number} */ value, /** @type {number} */ place) =>
    plot.x.names?.[place] ?? (plot.x.isTime ? new Date(value * 1000).toLocaleString() : number(value));
  const said = (/** @type {Series} */ one, /** @type {number} */ place) =>
    cell(one.values[place]) + (one.lower && one.upper ? ` (${cell(one.lower[place])} … ${cell(one.upper[place])})` : "");
  return el("details", { class: "as-table" }, el("summary", {}, t("base.as_table")),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": plot.title }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, plot.x.label), plot.series.map((one) => el("th", { scope: "col" }, one.label)))),
      el("tbody", {}, plot.x.values.map((value, place) =>
        el("tr", {}, el("th", { scope: "row" }, x(value, place)), plot.series.map((one) => el("td", {}, said(one, place)))))))));
}
