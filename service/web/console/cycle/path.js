// @ts-check
// The way of a cycle's version through its trial by people: each move, when, by whom and why.

import { pill, told, versionLink } from "/web/console/outcome.js";
import { el } from "/web/shared/dom.js";
import { percent, t, when } from "/web/shared/i18n.js";

/** @param {any} path @returns {Node[]} nothing where it was never tried */
export function showPath(path) {
  if (!path) return [];
  const { canary, moves, share } = path;
  return [
    el("p", {}, versionLink(canary.adapter), " ", pill("cycles.trial.state.", canary.state), " · ", t("cycles.trial.share", { share: percent(share, 1) })),
    el("ol", { class: "moves", "data-testid": "moves" },
      el("li", {}, when(canary.started_at_s), " ", el("strong", {}, t("cycles.path.begun")), " ", t("cycles.trial.against"), " ", versionLink(canary.against)),
      moves.map((/** @type {any} */ move) => el("li", {}, when(move.at_s), " ", el("strong", {}, t(`cycles.path.${move.step}`)), " ",
        t("cycles.path.from", { share: percent(move.share, 1), actor: move.actor }), el("div", { class: "muted" }, told(move.reason))))),
  ];
}
