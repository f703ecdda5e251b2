// @ts-check
// The cycle that runs, and how the last one ended.

import { guarded } from "/web/console/frame.js";
import { cycleLink, named, reasonList, statePill, summaryOf, versionLink } from "/web/console/outcome.js";
import { showProgress } from "/web/console/progress.js";
import { askToCancel } from "/web/console/start.js";
import { sectionOf } from "/web/console/traffic.js";
import { get } from "/web/shared/api.js";
import { el, refill } from "/web/shared/dom.js";
import { duration, t, when } from "/web/shared/i18n.js";

/** The words on the last cycle, asked for once an end: `words` are of the cycle and the state that `of` names. */
const last = { of: "", words: /** @type {Node | null} */ (null) };

/** @param {Element} root @param {any} status @param {() => unknown} refresh */
export async function showRun(root, status, refresh) {
  if (status.last) await guarded(sectionOf(root), () => explainLast(status.last));
  refill(root, status.cycle && running(root, status, refresh), status.last ? ended(status.last) : !status.cycle && el("p", { class: "muted" }, t("overview.run.none")));
}

/** @param {import("/web/console/outcome.js").Cycle} cycle */
async function explainLast(cycle) {
  const of = `${cycle.id} ${cycle.state}`;
  if (last.of === of) return;
  Object.assign(last, { of, words: summaryOf(await get(`/api/cycles/${cycle.id}/report`)) });
}

/** @param {Element} root @param {any} status @param {() => unknown} refresh */
function running(root, { cycle, progress }, refresh) {
  return el("div", { class: "running", "data-testid": "running" },
    el("h3", {}, cycleLink(cycle.id), " ", statePill(cycle.state)),
    el("p", { class: "muted" }, named("cycles.trigger.", cycle.trigger), " · ", named("cycles.method.", cycle.method), " · ", when(cycle.started_at_s)),
    progress && showProgress(progress),
    el("button", { type: "button", "data-testid": "cancel", onclick: () => askToCancel(root, cycle, refresh) }, t("cycles.cancel")));
}

/** @param {import("/web/console/outcome.js").Cycle} cycle */
function ended(cycle) {
  return el("div", { "data-testid": "last" },
    el("h3", {}, t("overview.run.last"), " ", cycleLink(cycle.id), " ", statePill(cycle.state, "last-state")),
    el("p", { class: "muted" }, when(cycle.ended_at_s), cycle.ended_at_s && ` · ${t("cycles.took", { time: duration(cycle.ended_at_s - cycle.started_at_s) })}`,
      cycle.adapter && [" · ", versionLink(cycle.adapter)]),
    el("p", {}, named("cycles.why.", cycle.state)),
    last.words,
    reasonList(cycle.reasons, "reasons"));
}
