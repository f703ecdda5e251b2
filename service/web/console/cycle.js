// @ts-check
// One cycle: what it does while it runs, and afterwards all that is known of it.

import { showCandidates, showCurves } from "/web/console/cycle/curves.js";
import { showHead } from "/web/console/cycle/head.js";
import { showJobLog } from "/web/console/cycle/joblog.js";
import { showJudged } from "/web/console/cycle/judged.js";
import { showLearnt } from "/web/console/cycle/learnt.js";
import { showPath } from "/web/console/cycle/path.js";
import { showTimeline } from "/web/console/cycle/timeline.js";
import { follow, guarded, id, page } from "/web/console/frame.js";
import { named, summaryOf } from "/web/console/outcome.js";
import { get } from "/web/shared/api.js";
import { byId, fill } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

const CURVES_MS = 5000; // between two looks at the curves of a training that goes on

/** @type {{cycle: import("/web/console/outcome.js").Cycle, stages: any[], progress: any} | null} */
let seen = null;

/** What is known of the cycle by now: its stages, which change by the second, and its report. */
async function refresh() {
  await guarded(byId("page"), async () => {
    seen = await get(`/api/cycles/${id}`);
    showNow();
    const report = await get(`/api/cycles/${id}/report`);
    if (seen) showHead(byId("head"), seen.cycle, summaryOf(report), refresh);
    section("training", [...showCurves(report.curves), ...showCandidates(report.tried)]);
    section("judged", showJudged(report));
    section("learnt", showLearnt(report));
    section("path", showPath(report.path));
    await showLog();
  });
}

function showNow() {
  if (!seen) return;
  if (!byId("head").hasChildNodes()) showHead(byId("head"), seen.cycle, null, refresh);
  showTimeline(byId("timeline"), seen.cycle, seen.stages, seen.progress);
}

async function showLog() {
  byId("log").closest("section")?.toggleAttribute("hidden", !(await showJobLog(byId("log"), id)));
}

/** Shows a section that has something to say. @param {string} name @param {Node[]} parts */
function section(name, parts) {
  const place = byId(name);
  place.closest("section")?.toggleAttribute("hidden", parts.length === 0);
  fill(place, parts);
}

let lookedAt_ms = 0;

/** The curves and the log of a training that goes on, now and then. */
async function lookAtTraining() {
  if (Date.now() - lookedAt_ms < CURVES_MS || seen?.progress?.stage !== "train") return;
  lookedAt_ms = Date.now();
  await guarded(byId("training"), async () => section("training", showCurves(await get(`/api/cycles/${id}/curves`))));
  await guarded(byId("log"), showLog);
}

/** @param {{name: string, data: any} | null} event */
function heard(event) {
  if (event?.name === "progress") {
    if (seen?.cycle.state !== "running") return;
    seen.progress = event.data;
    showNow();
    void lookAtTraining();
    return;
  }
  if (event && String(event.data.id ?? event.data.cycle_id) !== id) return;
  if (event?.name === "stage" && event.data.seconds === null) byId("news").textContent = named("cycles.stage.", event.data.stage);
  if (event?.name === "verdict") byId("news").textContent = t("cycles.news.verdict", { verdict: named("cycles.verdict.", event.data.verdict) });
  void refresh();
}

let following = false;

page(async () => {
  await refresh();
  if (!following) void follow(heard);
  following = true;
});
