// @ts-check
// How training goes or went: its loss and terms as plots, and each candidate that came of it.

import { pill, reasonList, told, versionLink } from "/web/console/outcome.js";
import { table } from "/web/console/table.js";
import { el } from "/web/shared/dom.js";
import { duration, has, number, t } from "/web/shared/i18n.js";
import { lines } from "/web/shared/plot.js";

/**
 * @typedef {{step: number, steps: number, loss: number, rows_per_s: number, terms: Record<string, number>}} Step
 * @typedef {{run: string, steps: Step[]}} Curve
 */

const FIRST = ["loss", "kl", "margin", "rows_per_s"]; // what is looked at most; the other terms fold away, by name

/** @param {Curve[]} curves @returns {Node[]} nothing where nothing was trained */
export function showCurves(curves) {
  const terms = [...new Set(curves.flatMap((curve) => curve.steps.flatMap((step) => Object.keys(step.terms))))].sort();
  const first = FIRST.filter((name) => curves.some((curve) => curve.steps.some((step) => valueOf(step, name) !== null)));
  const more = terms.filter((name) => !FIRST.includes(name));
  const pictures = (/** @type {string[]} */ names) => el("div", { class: "plots" }, names.map((name) => picture(name, curves)));
  return [
    first.length > 0 && el("div", { "data-testid": "plots" }, pictures(first)),
    more.length > 0 && el("details", {}, el("summary", {}, t("cycles.terms", { count: more.length })), pictures(more)),
  ].filter(Boolean);
}

/** @param {Step} step @param {string} name @returns {number | null} */
function valueOf(step, name) {
  const value = name === "loss" ? step.loss : name === "rows_per_s" ? step.rows_per_s : step.terms[name];
  return value ?? null;
}

/** @param {string} name @param {Curve[]} curves */
function picture(name, curves) {
  const steps = [...new Set(curves.flatMap((curve) => curve.steps.map((step) => step.step)))].sort((one, other) => one - other);
  const title = has(`cycles.term.${name}`) ? t(`cycles.term.${name}`) : name;
  return lines({
    title,
    height: 180,
    x: { label: t("cycles.step"), values: steps },
    series: curves.map((curve) => {
      const byStep = new Map(curve.steps.map((step) => [step.step, valueOf(step, name)]));
      return { label: curves.length > 1 ? curve.run : title, values: steps.map((step) => byStep.get(step) ?? null) };
    }),
    format: (value) => number(value, 4),
  });
}

/** @param {any[]} tried @returns {Node[]} */
export function showCandidates(tried) {
  if (!tried.length) return [];
  const label = (/** @type {string} */ name) => t(`cycles.candidate.${name}`);
  const columns = [label("version"), label("variant"), label("time"), /** @type {const} */ ({ label: label("final_loss"), number: true }), label("measures"), label("verdict"), label("stopped")];
  return [table(t("cycles.candidates"), columns, tried.map((one) => [
    versionLink(one.adapter),
    one.variant || label("as_set"),
    duration(one.seconds),
    one.final_loss === null ? "–" : number(one.final_loss, 4),
    Object.entries(one.measures).map(([name, value]) => el("div", {}, `${name} ${number(Number(value), 4)}`)),
    one.verdict ? [pill("cycles.verdict.", one.verdict), reasonList(one.reasons)] : "–",
    told(one.stopped || "–"),
  ]), "candidates")];
}
