// @ts-check
// The stages of a cycle in time: which are over and how long they took, and how far the one is that runs.

import { STAGES, named } from "/web/console/outcome.js";
import { showProgress } from "/web/console/progress.js";
import { el, refill } from "/web/shared/dom.js";
import { duration, exactly, t } from "/web/shared/i18n.js";

/**
 * @typedef {{name: string, started_at_s: number, ended_at_s: number | null}} Stage
 * @typedef {"done" | "running" | "broken" | "waiting" | "left"} Standing `broken` is one that began and never ended, `left` one that was not come to
 */

/** @param {Element} root @param {import("/web/console/outcome.js").Cycle} cycle @param {Stage[]} stages @param {import("/web/console/outcome.js").Progress | null} progress */
export function showTimeline(root, cycle, stages, progress) {
  const longest = Math.max(1, ...stages.map((stage) => tookOf(stage) ?? 0));
  refill(root, el("ol", { class: "timeline", "data-testid": "timeline" }, STAGES.map((name) => {
    const stage = stages.find((one) => one.name === name);
    const standing = standingOf(stage, cycle.state === "running");
    return el("li", { class: standing, "data-testid": `stage-${name}`, "data-standing": standing, "aria-current": standing === "running" ? "step" : null },
      el("div", { class: "stage" }, el("strong", {}, named("cycles.stage.", name)), el("span", { class: "muted" }, t(`cycles.about.${name}`))),
      el("div", { class: "time" }, stage ? times(stage, standing, longest) : el("span", { class: "muted" }, t(`cycles.standing.${standing}`))),
      standing === "running" && progress?.stage === name && showProgress(progress));
  })));
}

/** @param {Stage | undefined} stage @param {boolean} runs whether the cycle does @returns {Standing} */
function standingOf(stage, runs) {
  if (!stage) return runs ? "waiting" : "left";
  if (stage.ended_at_s !== null) return "done";
  return runs ? "running" : "broken";
}

/** @param {Stage} stage */
function tookOf(stage) {
  return stage.ended_at_s === null ? null : stage.ended_at_s - stage.started_at_s;
}

/** @param {Stage} stage @param {Standing} standing @param {number} longest of all stages, in seconds */
function times(stage, standing, longest) {
  const took = tookOf(stage);
  const bar = el("span", { class: "length", "aria-hidden": "true" });
  bar.style.width = `${(took === null ? 1 : Math.max(took / longest, 0.01)) * 100}%`;
  return [
    el("span", { class: "lane" }, bar),
    el("span", { class: "took" }, took === null ? t(`cycles.standing.${standing}`) : duration(took)),
    el("time", { class: "muted", datetime: new Date(stage.started_at_s * 1000).toISOString() }, exactly(stage.started_at_s)),
  ];
}
