// @ts-check
// What an operator can do with a version by itself, by its state. What is tried beside the live one has its own card.

import { guarded } from "/web/console/frame.js";
import { liveAgain, makeMove } from "/web/console/traffic.js";
import { download, withQuery } from "/web/shared/api.js";
import { el } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

/** @typedef {import("/web/console/versions.js").Version} Version */
/** @typedef {import("/web/console/traffic.js").Move} Move */
/** @typedef {{live: string, previous: string | null}} Release */

const GONE = ["quarantined", "erased"];

/** @param {Version} version @param {Release} release @returns {Move[]} the one that is wanted most first */
export function movesOf(version, release) {
  const { name, state } = version;
  const { live, previous } = release;
  const at = `/api/adapters/${encodeURIComponent(name)}`;
  const restored = { path: `${at}/restore`, body: { reason: t("traffic.restored") } };
  /** @type {Move[]} */
  const moves = [];
  if (state === "live" && previous) {
    moves.push({ name: "roll_back", places: { live, previous }, danger: true, order: liveAgain(previous), undo: liveAgain(live) });
  }
  if (state === "retired" && version.tainted_at_s === null) {
    moves.push({ name: "again", places: { name, live }, order: liveAgain(name), undo: liveAgain(live) });
  }
  if (state === "candidate" && version.cycle_id === null) moves.push({ name: "judge", places: { name }, order: { path: `${at}/judge` } });
  if (state === "quarantined") moves.push({ name: "restore", places: { name }, withReason: true, order: { path: `${at}/restore` } });
  const canLeave = state !== "live" || previous !== null;
  if (name !== "base" && !GONE.includes(state) && canLeave) {
    const undo = state === "live" ? [restored, liveAgain(name)] : [restored];
    moves.push({ name: "quarantine", places: { name }, danger: true, withReason: true, order: { path: `${at}/quarantine` }, undo });
  }
  return moves;
}

/**
 * @param {Element} place where troubles are told @param {Version} version @param {Release} release @param {() => unknown} after
 * @returns {HTMLElement}
 */
export function actions(place, version, release, after) {
  const { name, parent, state } = version;
  const tar = () => guarded(place, () => download(`/api/adapters/${encodeURIComponent(name)}/export`, `${name}.tar`));
  return el("div", { class: "row actions" },
    movesOf(version, release).map((move) => el("button", {
      type: "button", class: move.danger && "danger", "data-testid": move.name, onclick: () => makeMove(place, move, after),
    }, t(`traffic.${move.name}`))),
    state !== "erased" && el("button", { type: "button", "data-testid": "export", onclick: tar }, t("adapters.export")),
    parent !== null && compareLink(parent, name, "adapters.compare.parent"),
    name !== release.live && compareLink(release.live, name, "adapters.compare.live"));
}

/** @param {string} before @param {string} after @param {string} key */
function compareLink(before, after, key) {
  return el("a", { class: "button", href: withQuery("/console/adapters", { a: before, b: after }) }, t(key));
}
