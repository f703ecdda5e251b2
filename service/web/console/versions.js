// @ts-check
// How versions are shown wherever they are: by name, by state, and by what people made of them.

import { el } from "/web/shared/dom.js";
import { percent, t } from "/web/shared/i18n.js";

/**
 * @typedef {{name: string, parent: string | null, cycle_id: number | null, dataset_id: string | null, sha256: string, state: string,
 *   created_at_s: number, base_sha256: string, tainted_at_s: number | null}} Version
 * @typedef {{adapter: string, up: number, down: number, share: number, lower: number, upper: number}} Thumbs
 * @typedef {{id: number, adapter: string, previous: string | null, actor: string, reason: string, created_at_s: number}} Move
 * @typedef {{from_s: number, to_s: number | null, move: Move}} Period
 */

/** @type {Record<string, string>} */
const TONES = { live: "good", canary: "warn", quarantined: "bad", erased: "bad" };

/** @param {string} state @returns {HTMLElement} */
export function statePill(state) {
  return el("span", { class: `pill ${TONES[state] ?? ""}`, "data-state": state }, t(`adapters.state.${state}`));
}

/**
 * The share of thumbs up, which leads to the answers that got them. @param {string} name @param {Thumbs | undefined} thumbs
 * @returns {HTMLElement}
 */
export function thumbsLink(name, thumbs) {
  if (!thumbs) return el("span", { class: "muted" }, t("adapters.thumbs.none"));
  const interval = t("adapters.thumbs.interval", { lower: percent(thumbs.lower), upper: percent(thumbs.upper) });
  return el("a", { href: answersOf(name), title: interval },
    t("adapters.thumbs", { share: percent(thumbs.share), count: thumbs.up + thumbs.down }));
}

/** The answers that a version gave, on the data page. @param {string} name */
export function answersOf(name) {
  return `/console/data?${new URLSearchParams({ tab: "answers", version: name })}`;
}

/** When each version was live, oldest first. @param {Move[]} moves newest first @returns {Map<string, Period[]>} */
export function periodsOf(moves) {
  /** @type {Map<string, Period[]>} */
  const found = new Map();
  [...moves].reverse().forEach((move, place, all) => {
    const period = { from_s: move.created_at_s, to_s: all[place + 1]?.created_at_s ?? null, move };
    found.set(move.adapter, [...(found.get(move.adapter) ?? []), period]);
  });
  return found;
}
