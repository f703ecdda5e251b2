// @ts-check
// The engines' health and how quickly people are answered, looked at again every few seconds while somebody looks.

import { fillFrom, guarded, isSignedIn, page } from "/web/console/frame.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { get } from "/web/shared/api.js";
import { byId, el, fill, part } from "/web/shared/dom.js";
import { duration, exactly, number, percent, size, t } from "/web/shared/i18n.js";
import { lines } from "/web/shared/plot.js";

/**
 * @typedef {{address: string, state: string, in_state_s: number, restarts: number, running: number | null, waiting: number | null, problem: string}} Engine
 * @typedef {{p50: number, p95: number, p99: number}} Quantiles
 * @typedef {{window_s: number, answers: number, answers_per_minute: number, errors: number, first_token_ms: Quantiles | null, latency_ms: Quantiles | null}} Pace
 * @typedef {{at_s: number, answers: number, errors: number}} Minute
 * @typedef {{total_bytes: number, free_bytes: number, home_bytes: Record<string, number>}} Disk
 */

const EVERY_MS = 5000;
const MINUTES_EVERY = 12; // looks after which the plot and the disk, which change slowly, are looked at too
const SHADES = /** @type {Record<string, string>} */ ({ ready: "good", starting: "warn", failed: "bad" });
const FULL = 0.9; // of a disk, from which on that is a warning

const paces = emptyTable(t("engine.pace.why"), columnsOf("engine.", ["what", "hour", "day"], ["hour", "day"]));
let looks = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let waiting;

page(look);
document.addEventListener("visibilitychange", () => !document.hidden && isSignedIn() && void look());

async function look() {
  clearTimeout(waiting);
  const slow = looks++ % MINUTES_EVERY === 0;
  await Promise.all([showEngine(), slow && fillFrom(byId("minutes"), minutes), slow && fillFrom(byId("disk"), disk)]);
  clearTimeout(waiting);
  if (!document.hidden && isSignedIn()) waiting = setTimeout(look, EVERY_MS);
}

async function showEngine() {
  await guarded(byId("engines"), async () => {
    /** @type {{engines: Engine[], hour: Pace, day: Pace}} */
    const status = await get("/api/engine");
    showEngines(status.engines);
    showPace(status.hour, status.day);
    byId("looked").textContent = t("engine.looked", { time: exactly(Date.now() / 1000) });
  });
}

/** Cards stay where they are while they change, and so does whoever reads them. @param {Engine[]} found */
function showEngines(found) {
  const all = byId("engines").querySelector(".cards") ?? byId("engines").appendChild(el("div", { class: "cards" }));
  while (all.childElementCount > found.length) all.lastElementChild?.remove();
  while (all.childElementCount < found.length) all.append(card());
  found.forEach((one, place) => showCard(all.children[place], one));
}

function card() {
  return el("article", { class: "card", "data-testid": "engine" },
    el("div", { class: "row" }, el("h3", { class: "mono", "data-testid": "address" }), el("span", { "data-testid": "state" })),
    el("dl", { class: "pairs", "data-testid": "facts" }),
    el("details", { "data-testid": "problem" }, el("summary", {}, t("engine.problem")), el("pre", { class: "scroll", tabindex: "0", lang: "en" })));
}

/** @param {Element} card @param {Engine} one */
function showCard(card, one) {
  part(card, "address").textContent = one.address || t("engine.no_address");
  part(card, "state").className = `pill ${SHADES[one.state] ?? ""}`;
  part(card, "state").textContent = t(`engine.state.${one.state}`);
  fill(part(card, "facts"), pair("engine.for", duration(one.in_state_s)), pair("engine.restarts", number(one.restarts)),
    pair("engine.running", one.running === null ? "–" : number(one.running)), pair("engine.waiting", one.waiting === null ? "–" : number(one.waiting)));
  part(card, "problem").hidden = !one.problem;
  part(card, "problem").lastElementChild.textContent = one.problem;
}

/** @param {string} key @param {string} value */
const pair = (key, value) => [el("dt", {}, t(key)), el("dd", {}, value)];

/** @param {Pace} hour @param {Pace} day */
function showPace(hour, day) {
  if (!byId("pace").contains(paces.frame)) byId("pace").append(paces.frame);
  const line = (/** @type {string} */ name, /** @type {(one: Pace) => string} */ value) =>
    el("tr", { "data-testid": `pace-${name}` }, el("th", { scope: "row" }, t(`engine.${name}`)), [hour, day].map((one) => el("td", { class: "number" }, value(one))));
  fill(paces.body,
    line("answers", (one) => number(one.answers)), line("per_minute", (one) => number(one.answers_per_minute)),
    line("errors", (one) => (one.answers ? `${number(one.errors)} (${percent(one.errors / one.answers, 1)})` : number(one.errors))),
    line("first_token", (one) => quantiles(one.first_token_ms)), line("latency", (one) => quantiles(one.latency_ms)));
}

/** @param {Quantiles | null} found */
function quantiles(found) {
  return found ? [found.p50, found.p95, found.p99].map((ms) => duration(ms / 1000)).join(" / ") : "–";
}

async function minutes() {
  /** @type {Minute[]} */
  const found = await get("/api/engine/minutes?minutes=60");
  if (!found.some((one) => one.answers)) return el("p", { class: "muted" }, t("engine.minutes.none"));
  const series = /** @type {const} */ (["answers", "errors"]).map((name) => ({ label: t(`engine.${name}`), values: found.map((one) => one[name]) }));
  const x = { label: t("engine.minute"), values: found.map((one) => one.at_s), isTime: true };
  return lines({ title: t("engine.minutes"), x, series, format: (value) => number(value, 1) });
}

async function disk() {
  /** @type {Disk} */
  const found = await get("/api/disk");
  const used = found.total_bytes - found.free_bytes;
  const isFull = used / found.total_bytes > FULL;
  const { frame, body } = emptyTable(t("engine.home"), columnsOf("engine.", ["place", "size"], ["size"]));
  body.append(...Object.entries(found.home_bytes).map(([name, bytes]) =>
    el("tr", {}, el("th", { scope: "row", class: "mono" }, name), el("td", { class: "number" }, size(bytes)))));
  const said = t("engine.used", { used: size(used), total: size(found.total_bytes), free: size(found.free_bytes) });
  const meter = el("meter", { value: used, max: found.total_bytes, "aria-label": t("engine.disk") });
  return el("div", {}, el("p", {}, el("span", { class: isFull && "pill bad" }, said), " ", meter), frame);
}
