// @ts-check
// Versions that a share of the people tries: how far they are, what is known of them, and an operator's word on each.

import { cycleLink, pill, reasonList, told, versionLink } from "/web/console/outcome.js";
import { liveAgain, makeMove } from "/web/console/traffic.js";
import { el, refill } from "/web/shared/dom.js";
import { percent, signed, t, when } from "/web/shared/i18n.js";

/** @type {Record<string, string[]>} */
const MOVES = { waiting_approval: ["approve", "decline"], running: ["promote", "hold", "take_back"], held: ["promote", "resume", "take_back"] };
const DANGEROUS = ["decline", "take_back"];

/** @param {Element} root @param {any} release @param {() => unknown} refresh */
export function showTrials(root, release, refresh) {
  if (!release.trials.length) {
    refill(root, el("p", { class: "muted", "data-testid": "no-trials" }, t(`overview.trials.none.${release.mode}`)));
    return;
  }
  refill(root, release.trials.map((/** @type {any} */ trial) => show(trial, release, refresh)));
}

/** @param {any} trial @param {any} release @param {() => unknown} refresh */
function show(trial, release, refresh) {
  const { canary, judgement } = trial;
  const place = el("article", { class: "trial", "aria-label": canary.adapter, "data-testid": `trial-${canary.adapter}` });
  place.append(
    el("h3", {}, versionLink(canary.adapter), " ", pill("cycles.trial.state.", canary.state, { "data-testid": "trial-state" })),
    el("p", {}, t("cycles.trial.share", { share: percent(trial.share, 1) }), " · ", t("cycles.trial.against"), " ", versionLink(canary.against),
      " · ", cycleLink(canary.cycle_id), " · ", when(canary.started_at_s)),
    path(canary, release.shares),
    canary.reason && el("p", { class: "muted" }, told(canary.reason)),
    judgement ? known(judgement, canary.adapter) : el("p", { class: "muted" }, t("cycles.trial.unknown")),
    el("div", { class: "row" }, MOVES[canary.state].map((name) =>
      el("button", {
        type: "button", class: name === "approve" || name === "promote" ? "primary" : DANGEROUS.includes(name) ? "danger" : "",
        "data-testid": `${name}-${canary.adapter}`, onclick: () => makeMove(place, moveOf(name, canary, release), refresh),
      }, t(`traffic.${name}`)))));
  return place;
}

/** The shares of the people, of which one is now. @param {any} canary @param {number[]} shares */
function path(canary, shares) {
  const at = canary.state === "waiting_approval" ? -1 : canary.stage;
  return el("ol", { class: "path", "aria-label": t("cycles.trial.path") }, shares.map((share, place) =>
    el("li", { "aria-current": place === at ? "step" : null, class: place < at ? "past" : "" },
      place === shares.length - 1 ? t("cycles.trial.all") : percent(share, 1))));
}

/** @param {any} judgement @param {string} adapter */
function known(judgement, adapter) {
  const answers = `/console/data?version=${encodeURIComponent(adapter)}`;
  const { votes } = judgement;
  return el("div", {},
    el("p", {}, el("a", { href: answers }, t("cycles.trial.answers", { count: judgement.answers })), " · ",
      t("cycles.trial.thumbs", { count: judgement.thumbs }), " · ", t("cycles.trial.people", { count: judgement.people })),
    votes && el("p", { "data-testid": "trial-votes" }, t("cycles.trial.votes", {
      delta: points(votes.delta), lower: points(votes.lower), upper: points(votes.upper),
    })),
    reasonList(judgement.reasons));
}

/** A difference of shares in points of a hundred. @param {number} share */
function points(share) {
  return signed(share * 100, 1);
}

/** @param {string} name @param {any} canary @param {any} release @returns {import("/web/console/traffic.js").Move} */
function moveOf(name, canary, release) {
  const { adapter } = canary;
  const at = `/api/release/${encodeURIComponent(adapter)}`;
  const places = { adapter, live: release.live };
  switch (name) {
    case "hold": return { name, places, order: { path: `${at}/hold` }, undo: { path: `${at}/resume` } };
    case "resume": return { name, places, order: { path: `${at}/resume` }, undo: { path: `${at}/hold` } };
    case "decline": return { name, places, danger: true, order: { path: `${at}/rollback` } };
    case "take_back": return {
      name, places, danger: true, order: { path: `${at}/rollback` },
      undo: { path: `/api/adapters/${encodeURIComponent(adapter)}/restore`, body: { reason: t("traffic.restored") } },
    };
    default: return { name, places, order: { path: `${at}/${name}` }, undo: liveAgain(release.live) };
  }
}
