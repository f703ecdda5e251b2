// @ts-check
// The version that answers, since when and why, and the way back to the one before.

import { told, versionLink } from "/web/console/outcome.js";
import { liveAgain, makeMove } from "/web/console/traffic.js";
import { el, refill } from "/web/shared/dom.js";
import { t, when } from "/web/shared/i18n.js";

/**
 * @param {Element} root @param {any} release @param {{created_at_s: number, actor: string, reason: string}} move that made it live
 * @param {() => unknown} refresh
 */
export function showLive(root, release, move, refresh) {
  const { live, previous } = release;
  const back = () => makeMove(root, {
    name: "roll_back", places: { live, previous }, danger: true, order: liveAgain(previous), undo: liveAgain(live),
  }, refresh);
  refill(root,
    el("p", { class: "figure" }, el("span", { class: "value" }, versionLink(live, "live-version")),
      el("span", { class: "label" }, t("overview.live.since"), " ", when(move?.created_at_s))),
    move?.reason && el("p", { class: "muted" }, t("overview.live.by", { actor: move.actor }), " ", told(move.reason)),
    previous
      ? el("div", { class: "row" }, el("button", { type: "button", onclick: back, "data-testid": "roll-back" }, t("traffic.roll_back")),
        el("span", { class: "muted" }, t("overview.live.before"), " ", versionLink(previous)))
      : el("p", { class: "muted" }, t("overview.live.first")));
}
