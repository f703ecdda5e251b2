// @ts-check
// How far the stage is that runs: its bar, its rate, and the time that is left.

import { bar, named, told } from "/web/console/outcome.js";
import { el } from "/web/shared/dom.js";
import { duration, number, percent, t } from "/web/shared/i18n.js";

/** @typedef {import("/web/console/outcome.js").Progress} Progress */

/** @param {Progress} progress */
export function showProgress(progress) {
  const stage = named("cycles.stage.", progress.stage);
  return el("div", { class: "progress", "data-testid": "progress" },
    el("p", {}, el("strong", {}, stage), progress.detail && [" · ", told(progress.detail)]),
    progress.total > 0 && bar(progress.done, progress.total, stage, "progress-bar"),
    el("p", { class: "muted figures" }, figures(progress).join(" · ")));
}

/** @param {Progress} progress @returns {string[]} */
function figures({ done, total, loss, rows_per_s, eta_s }) {
  return [
    total > 0 ? `${t("cycles.progress.of", { done, total })} (${percent(done / total)})` : "",
    rows_per_s === null ? "" : t("cycles.progress.rate", { rate: number(rows_per_s, 1) }),
    loss === null ? "" : t("cycles.progress.loss", { loss: number(loss, 4) }),
    eta_s === null ? "" : t("cycles.progress.left", { left: duration(eta_s) }),
  ].filter(Boolean);
}
