// @ts-check
// All cycles, newest first, a page at a time; what changes is changed where it stands.

import { follow, guarded, page } from "/web/console/frame.js";
import { named, statePill, told, versionLink } from "/web/console/outcome.js";
import { askToCancel, openStart } from "/web/console/start.js";
import { get, withQuery } from "/web/shared/api.js";
import { byId, el, fill, refill } from "/web/shared/dom.js";
import { duration, percent, t, when } from "/web/shared/i18n.js";

/** @typedef {import("/web/console/outcome.js").Cycle} Cycle */

const PAGE = 30;
const COLUMNS = ["number", "state", "version", "method", "trigger", "began", "time", "why"];

/** @type {Map<number, Cycle>} */
const cycles = new Map();
/** @type {import("/web/console/outcome.js").Progress | null} */
let progress = null;
let hasMore = false;

async function loadNewest() {
  await guarded(byId("page"), async () => keep(await get(`/api/cycles?limit=${PAGE}`), cycles.size === 0));
}

async function loadMore() {
  const before = Math.min(...cycles.keys());
  await guarded(byId("page"), async () => keep(await get(withQuery("/api/cycles", { limit: PAGE, before })), true));
}

/** @param {Cycle[]} found @param {boolean} isOldest whether what follows them is what is missing */
function keep(found, isOldest) {
  for (const cycle of found) cycles.set(cycle.id, cycle);
  if (isOldest) hasMore = found.length === PAGE;
  show();
}

function show() {
  const rows = [...cycles.values()].sort((one, other) => other.id - one.id);
  byId("more").hidden = !hasMore;
  byId("cancel").hidden = !running();
  if (!rows.length) return fill(byId("list"), el("p", { class: "muted", "data-testid": "none" }, t("cycles.none")));
  refill(byId("list"), el("table", { "data-testid": "cycles" },
    el("thead", {}, el("tr", {}, COLUMNS.map((name) => el("th", { scope: "col" }, t(`cycles.column.${name}`))))),
    el("tbody", {}, rows.map(row))));
}

/** @param {Cycle} cycle */
function row(cycle) {
  const took = cycle.ended_at_s ? duration(cycle.ended_at_s - cycle.started_at_s) : cycle.state === "running" && progress ? here(progress) : "–";
  return el("tr", { "data-testid": `cycle-${cycle.id}` },
    el("th", { scope: "row" }, el("a", { href: `/console/cycles/${cycle.id}`, "data-testid": `link-${cycle.id}`, "aria-label": t("cycles.one", { id: String(cycle.id) }) }, cycle.id)),
    el("td", {}, statePill(cycle.state)),
    el("td", {}, versionLink(cycle.adapter)),
    el("td", {}, el("span", { class: "mono", title: named("cycles.method.", cycle.method) }, cycle.method), cycle.corpus && el("span", { class: "muted" }, ` (${cycle.corpus})`)),
    el("td", {}, named("cycles.trigger.", cycle.trigger)),
    el("td", {}, when(cycle.started_at_s)),
    el("td", {}, took),
    el("td", { class: "why" }, told(cycle.reasons[0] ?? "", { title: cycle.reasons.join("\n") })));
}

/** @param {import("/web/console/outcome.js").Progress} now */
function here({ stage, done, total }) {
  return named("cycles.stage.", stage) + (total ? ` ${percent(done / total)}` : "");
}

function running() {
  return [...cycles.values()].find((cycle) => cycle.state === "running");
}

/** @param {{name: string, data: any} | null} event */
function heard(event) {
  if (event === null || event.name === "cycle") {
    progress = null;
    void loadNewest();
  }
  if (event?.name === "progress") {
    progress = event.data;
    show();
  }
  if (event?.name === "cycle") byId("news").textContent = `${t("cycles.one", { id: String(event.data.id) })}: ${named("cycles.state.", event.data.state)}`;
}

let following = false;

page(async () => {
  await loadNewest();
  if (!following) void follow(heard);
  following = true;
});

byId("start").addEventListener("click", () => openStart(loadNewest));
byId("dry-run").addEventListener("click", () => openStart(loadNewest, { dryRun: true }));
byId("more").addEventListener("click", () => void loadMore());
byId("cancel").addEventListener("click", () => {
  const cycle = running();
  if (cycle) void askToCancel(byId("list"), cycle, loadNewest);
});
