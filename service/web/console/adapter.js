// @ts-check
// One version: what it is, what people thought of it, what made it, and what can be done with it.

import { actions } from "/web/console/actions.js";
import { askBox } from "/web/console/asking.js";
import { fillFrom, follow, id, page } from "/web/console/frame.js";
import { lessons } from "/web/console/lessons.js";
import { versionLink } from "/web/console/outcome.js";
import { scores } from "/web/console/scores.js";
import { training } from "/web/console/training.js";
import { showTrials } from "/web/console/overview/trials.js";
import { answersOf, periodsOf, statePill, thumbsLink } from "/web/console/versions.js";
import { get } from "/web/shared/api.js";
import { byId, el, fill } from "/web/shared/dom.js";
import { t, when } from "/web/shared/i18n.js";

/** @typedef {import("/web/console/versions.js").Period} Period */
/** @typedef {import("/web/console/versions.js").Thumbs} Thumbs */

/** What changes when something is decided. @param {any[]} chain */
async function facts(chain) {
  const [release, moves, votes] = await Promise.all([get("/api/release"), get("/api/release/moves?limit=1000"), get("/api/votes?days=366")]);
  const [{ adapter }] = chain;
  const thumbs = votes.totals.find((/** @type {Thumbs} */ one) => one.adapter === adapter.name);
  showTrial(release);
  const list = el("dl", { class: "facts" },
    fact("adapters.state", [statePill(adapter.state), adapter.tainted_at_s !== null && tainted()]),
    fact("adapters.when", live(periodsOf(moves).get(adapter.name) ?? [])),
    fact("adapters.opinion", thumbsLink(adapter.name, thumbs)),
    fact("adapters.answers", el("a", { href: answersOf(adapter.name), "data-testid": "answers-of" }, t("adapters.answers.show"))),
    fact("adapters.parents", el("ol", { class: "chain" }, chain.map((link) => el("li", {}, versionLink(link.adapter.name))))),
    fact("adapters.created", when(adapter.created_at_s)),
    fact("adapters.sha256", el("span", { class: "mono" }, adapter.sha256)),
    adapter.base_sha256 && fact("adapters.base_sha256", el("span", { class: "mono" }, adapter.base_sha256)));
  return [actions(byId("facts"), adapter, release, show), list];
}

function tainted() {
  return [" ", el("span", { class: "pill bad" }, t("adapters.tainted")), " ", el("span", { class: "muted" }, t("adapters.tainted.why"))];
}

/** @param {any} release */
function showTrial(release) {
  const trials = release.trials.filter((/** @type {any} */ trial) => trial.canary.adapter === id);
  byId("trial-card").hidden = !trials.length;
  if (trials.length) showTrials(byId("trial"), { ...release, trials }, show);
}

/** @param {Period[]} periods */
function live(periods) {
  if (!periods.length) return el("span", { class: "muted" }, t("adapters.when.never"));
  return el("ul", { class: "reasons" }, periods.map((period) => el("li", {},
    when(period.from_s), " – ", period.to_s === null ? t("adapters.when.now") : when(period.to_s), " ",
    el("span", { class: "muted", lang: "en" }, `${period.move.actor}: ${period.move.reason}`))));
}

/** @param {string} key @param {import("/web/shared/dom.js").Child} value */
function fact(key, value) {
  return [el("dt", {}, t(key)), el("dd", {}, value)];
}

async function show() {
  /** @type {any[]} */
  let chain = [];
  const stood = byId("facts").contains(document.activeElement); // what was pressed may be gone afterwards
  await fillFrom(byId("facts"), async () => {
    chain = (await get(`/api/adapters/${encodeURIComponent(id)}`)).chain;
    return facts(chain);
  });
  if (stood) byId("facts-title").focus();
  return chain;
}

page(async () => {
  const chain = await show();
  if (!chain.length) return; // it says why by now
  fill(byId("scores"), scores(chain));
  fill(byId("ask"), chain[0].adapter.state === "erased" ? null : askBox([...new Set([id, chain[1]?.adapter.name ?? "base"])]).section);
  await fillFrom(byId("training"), () => training(chain[0]));
  await fillFrom(byId("lessons"), () => lessons(id));
  void follow((event) => {
    if (event === null || event.name === "cycle") void show();
  });
});
