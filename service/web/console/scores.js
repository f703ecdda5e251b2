// @ts-check
// How one version does on the suites, beside its parent and base, and how that went along its line of descent.

import { bySuite, history } from "/web/console/history.js";
import { figure, table } from "/web/console/table.js";
import { withQuery } from "/web/shared/api.js";
import { el, fill } from "/web/shared/dom.js";
import { number, signed, t } from "/web/shared/i18n.js";

/**
 * @typedef {import("/web/console/history.js").Evaluation} Evaluation
 * @typedef {{adapter: import("/web/console/versions.js").Version, evaluations: Evaluation[]}} Link
 */

/** @param {Link[]} chain from the version to base @returns {Node[]} */
export function scores(chain) {
  const [own, parent] = chain;
  const suites = bySuite([...chain].reverse().flatMap((link) => link.evaluations));
  const scored = [...suites].filter(([, versions]) => versions.has(own.adapter.name)).map(([suite]) => suite).sort();
  if (!scored.length) return [el("p", { class: "muted" }, t("adapters.scores.none"))];
  const others = parent ? ["adapters.scores.parent", "compare.delta", "adapters.scores.base"] : [];
  const columns = [t("compare.suite"), figure(own.adapter.name), ...others.map((key) => figure(t(key)))];
  const rows = scored.map((suite) => row(suite, suites.get(suite) ?? new Map(), own, parent));
  const names = chain.map((link) => link.adapter.name).reverse();
  return [table(t("adapters.scores.caption"), columns, rows, "score-table"), ...(parent ? [along(scored, names, suites)] : [])];
}

/** @param {string} suite @param {Map<string, Evaluation>} versions @param {Link} own @param {Link | undefined} parent */
function row(suite, versions, own, parent) {
  const link = el("a", { href: `/console/suites#${suite}` }, suite);
  const here = /** @type {Evaluation} */ (versions.get(own.adapter.name));
  if (!parent) return [link, number(here.mean, 4)];
  const before = versions.get(parent.adapter.name);
  const base = versions.get("base");
  const comparison = withQuery("/console/adapters", { a: parent.adapter.name, b: own.adapter.name });
  const change = before?.suite_sha256 === here.suite_sha256 ? el("a", { href: comparison }, signed(here.mean - before.mean, 4)) : "–";
  return [link, number(here.mean, 4), before ? number(before.mean, 4) : "–", change, base ? number(base.mean, 4) : "–"];
}

/**
 * The plot of one suite, which is chosen.
 * @param {string[]} scored @param {string[]} names base first @param {Map<string, Map<string, Evaluation>>} suites
 */
function along(scored, names, suites) {
  const place = el("div");
  const select = el("select", { "data-testid": "score-suite" }, scored.map((suite) => el("option", { value: suite }, suite)));
  const show = () => fill(place, history(select.value, names, suites.get(select.value) ?? new Map()));
  select.addEventListener("change", show);
  show();
  return el("div", {}, el("label", { class: "field inline" }, el("span", {}, t("adapters.scores.along")), select), place);
}
