// @ts-check
// What a cycle is and how it ended, in words, with what can be done about it.

import { guarded } from "/web/console/frame.js";
import { named, reasonList, statePill, versionLink } from "/web/console/outcome.js";
import { askToCancel } from "/web/console/start.js";
import { sectionOf } from "/web/console/traffic.js";
import { download, post } from "/web/shared/api.js";
import { toast } from "/web/shared/dialog.js";
import { el, refill } from "/web/shared/dom.js";
import { duration, t, when } from "/web/shared/i18n.js";

/** @typedef {import("/web/console/outcome.js").Cycle} Cycle */

/** @param {Element} root @param {Cycle} cycle @param {Node | null} summary @param {() => unknown} refresh */
export function showHead(root, cycle, summary, refresh) {
  const trouble = root.querySelector(":scope > .trouble");
  refill(root, trouble,
    el("p", {}, statePill(cycle.state, "state"), " ", named("cycles.why.", cycle.state)),
    summary,
    reasonList(cycle.reasons, "reasons"),
    facts(cycle),
    el("div", { class: "row" }, actions(root, cycle, refresh)));
}

/** @param {Cycle} cycle */
function facts(cycle) {
  const took = cycle.ended_at_s ? duration(cycle.ended_at_s - cycle.started_at_s) : "–";
  /** @type {[string, any][]} */
  const known = [
    ["trigger", named("cycles.trigger.", cycle.trigger)],
    ["method", named("cycles.method.", cycle.method)],
    ["corpus", cycle.corpus || t("cycles.corpus.any")],
    ["began", when(cycle.started_at_s)],
    ["time", took],
    ["version", versionLink(cycle.adapter)],
  ];
  return el("dl", { class: "figures" }, known.map(([name, value]) => el("div", {}, el("dt", {}, t(`cycles.column.${name}`)), el("dd", {}, value))));
}

/** @param {Element} root @param {Cycle} cycle @param {() => unknown} refresh */
function actions(root, cycle, refresh) {
  const button = (/** @type {string} */ name, /** @type {() => unknown} */ onclick) => el("button", { type: "button", "data-testid": name, onclick }, t(`cycles.${name}`));
  return [
    cycle.state === "running" && button("cancel", () => askToCancel(root, cycle, refresh)),
    cycle.state === "failed" && button("resume", () => resume(root, cycle, refresh)),
    button("report", () => openReport(root, cycle)),
    button("report_file", () => guarded(sectionOf(root), () => download(`/api/cycles/${cycle.id}/report.html`, `cycle-${cycle.id}.html`))),
    el("a", { class: "button", href: "/console/audit?kind=cycle" }, t("cycles.audit")),
  ];
}

/** @param {Element} root @param {Cycle} cycle @param {() => unknown} refresh */
async function resume(root, cycle, refresh) {
  await guarded(sectionOf(root), async () => {
    await post(`/api/cycles/${cycle.id}/resume`);
    toast(t("cycles.resumed", { id: String(cycle.id) }));
    await refresh();
  });
}

/** In a tab of its own, which is opened at once: browsers take one that comes later for an advertisement. @param {Element} root @param {Cycle} cycle */
async function openReport(root, cycle) {
  const tab = open("", "_blank");
  const link = await guarded(sectionOf(root), () => post(`/api/cycles/${cycle.id}/report/link`));
  if (!tab) return;
  if (!link) return tab.close();
  tab.opener = null;
  tab.location.replace(link.path);
}
