// @ts-check
// The loop at a glance: asks for all of it, and again whenever something happened.

import { follow, guarded, page } from "/web/console/frame.js";
import { named } from "/web/console/outcome.js";
import { showEvidence } from "/web/console/overview/evidence.js";
import { showLive } from "/web/console/overview/live.js";
import { drawLoop, showStage } from "/web/console/overview/loop.js";
import { showRun } from "/web/console/overview/run.js";
import { showTrials } from "/web/console/overview/trials.js";
import { showVotes } from "/web/console/overview/votes.js";
import { openStart } from "/web/console/start.js";
import { get } from "/web/shared/api.js";
import { byId } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

const FRESH_MS = 15_000; // votes make no event

/** @type {any} */
let status = null;
let asking = false;
let again = false;

/** Asks once at a time; what happens meanwhile is asked for right after. */
async function refresh() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  await guarded(byId("page"), load);
  asking = false;
  if (again) {
    again = false;
    await refresh();
  }
}

async function load() {
  const [seen, release, moves] = await Promise.all([get("/api/status"), get("/api/release"), get("/api/release/moves?limit=1")]);
  status = seen;
  drawLoop(byId("loop"), status);
  showLive(byId("live"), release, moves[0], refresh);
  showTrials(byId("trials"), release, refresh);
  showEvidence(byId("evidence"), status);
  await showRun(byId("run"), status, refresh);
}

/** @param {{name: string, data: any} | null} event */
function heard(event) {
  if (event?.name === "progress" && status?.cycle) {
    status.progress = event.data;
    showStage(byId("loop"), status);
    void showRun(byId("run"), status, refresh);
    return;
  }
  if (event) say(news(event));
  void refresh();
}

/** What is worth saying of an event, "" for nothing. @param {{name: string, data: any}} event */
function news({ name, data }) {
  if (name === "stage" && data.seconds === null) {
    return t("overview.news.stage", { id: String(data.cycle_id), stage: named("cycles.stage.", data.stage) });
  }
  if (name === "cycle" && data.state !== "running" && data.state !== status?.last?.state) {
    return t("overview.news.end", { id: String(data.id), state: named("cycles.state.", data.state) });
  }
  return "";
}

/** To those who listen to the page. @param {string} text */
function say(text) {
  if (text) byId("news").textContent = text;
}

let following = false;

page(async () => {
  await refresh();
  await showVotes(byId("votes"), status?.live ?? "");
  if (following) return;
  following = true;
  void follow(heard);
  setInterval(() => document.visibilityState === "visible" && void refresh(), FRESH_MS);
});

byId("start").addEventListener("click", () => openStart(refresh));
byId("dry-run").addEventListener("click", () => openStart(refresh, { dryRun: true }));
