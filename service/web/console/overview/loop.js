// @ts-check
// The loop as a picture: five places, which light up while a cycle is at them and lead to their pages.

import { STAGES, named } from "/web/console/outcome.js";
import { fill } from "/web/shared/dom.js";
import { percent, t } from "/web/shared/i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [136, 62]; // of a place

/** @typedef {{name: string, at: [number, number], stages: string[], href: (status: any) => string, says: (status: any) => string}} Place */

/** @type {Place[]} */
const PLACES = [
  { name: "chat", at: [4, 8], stages: [], href: () => "/", says: (status) => named("overview.engine.", status.engine) },
  { name: "votes", at: [172, 8], stages: ["collect"], href: () => "/console/data", says: (status) => t("overview.loop.new", { count: status.evidence.rows }) },
  { name: "learn", at: [340, 8], stages: ["curate", "train"], href: cycleOf, says: learning },
  { name: "gate", at: [256, 126], stages: ["evaluate", "gate"], href: cycleOf, says: (status) => (status.last ? named("cycles.state.", status.last.state) : t("overview.loop.never")) },
  { name: "live", at: [88, 126], stages: ["release"], href: (status) => `/console/adapters/${encodeURIComponent(status.live)}`, says: (status) => status.live },
];
const ARROWS = ["M140 39H170", "M308 39H338", "M408 70V141Q408 157 396 157", "M256 157H226", "M88 157H76Q60 157 60 141V72"];

/** @param {any} status */
function cycleOf(status) {
  const cycle = status.cycle ?? status.last;
  return cycle ? `/console/cycles/${cycle.id}` : "/console/cycles";
}

/** @param {any} status */
function learning(status) {
  const { cycle, progress } = status;
  if (!cycle) return t("overview.loop.rests");
  if (!progress || !STAGES.includes(progress.stage)) return t("cycles.state.running");
  return progress.total ? percent(progress.done / progress.total) : named("cycles.stage.", progress.stage);
}

/** @param {string} tag @param {Record<string, string | number>} attributes @param {...(Node | string)} children */
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** @param {Element} root @param {any} status */
export function drawLoop(root, status) {
  if (!root.firstElementChild) {
    const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z" }));
    fill(root, svg("svg", { viewBox: "0 0 480 192", class: "loop", role: "group", "aria-label": t("overview.loop") },
      svg("defs", {}, arrow),
      ...ARROWS.map((d) => svg("path", { d, class: "way", "marker-end": "url(#arrow)" })),
      ...PLACES.map(drawPlace)));
  }
  showStage(root, status);
}

/** @param {Place} place */
function drawPlace({ name, at: [x, y] }) {
  const middle = x + WIDTH / 2;
  return svg("a", { class: "place", "data-testid": `loop-${name}`, href: "#" },
    svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 12 }),
    svg("text", { x: middle, y: y + 27, class: "name" }, t(`overview.loop.${name}`)),
    svg("text", { x: middle, y: y + 48, class: "says" }));
}

/** Lights up the place where the cycle is, and says how things are at each. @param {Element} root @param {any} status */
export function showStage(root, status) {
  const stage = status.progress?.stage ?? "";
  for (const place of PLACES) {
    const drawn = /** @type {SVGElement} */ (root.querySelector(`[data-testid="loop-${place.name}"]`));
    drawn.setAttribute("href", place.href(status));
    const says = place.says(status);
    /** @type {Element} */ (drawn.querySelector(".says")).textContent = says.length > 15 ? `${says.slice(0, 14)}…` : says;
    if (place.stages.includes(stage)) drawn.setAttribute("aria-current", "step");
    else drawn.removeAttribute("aria-current");
  }
}
