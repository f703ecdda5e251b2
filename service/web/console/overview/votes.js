// @ts-check
// The share of thumbs up of each version over time, with what the truth may be.

import { fillFrom } from "/web/console/frame.js";
import { versionLink } from "/web/console/outcome.js";
import { columnsOf, table } from "/web/console/table.js";
import { get, withQuery } from "/web/shared/api.js";
import { el, fill } from "/web/shared/dom.js";
import { number, percent, t } from "/web/shared/i18n.js";
import { lines } from "/web/shared/plot.js";

const DAYS = [7, 30, 90, 366];
const MOST = 6; // versions in one picture: more cannot be told apart

/**
 * @typedef {{adapter: string, up: number, down: number, share: number, lower: number, upper: number}} Share
 * @typedef {Share & {day: string}} DayShare
 */

/** @param {Element} root @param {string} live */
export async function showVotes(root, live) {
  const place = el("div", { "data-testid": "shares" });
  const choice = el("select", { "data-testid": "days", onchange: () => load() }, DAYS.map((days) => el("option", { value: days, selected: days === 30 }, t("overview.votes.days", { count: days }))));
  fill(root, el("label", { class: "field inline" }, el("span", {}, t("overview.votes.span")), choice), place);
  const load = () => fillFrom(place, async () => show(await get(withQuery("/api/votes", { days: choice.value })), live));
  await load();
}

/** @param {{days: DayShare[], totals: Share[]}} votes @param {string} live @returns {Node[]} */
function show({ days, totals }, live) {
  if (!totals.length) return [el("p", { class: "muted", "data-testid": "no-votes" }, t("overview.votes.none"))];
  const newest = [...new Set(days.map((one) => one.adapter).reverse())]; // those with the newest votes first
  return [picture(days, newest.slice(0, MOST)), totalsOf(newest.flatMap((name) => totals.filter((one) => one.adapter === name)), live)];
}

/** A day alone gets its neighbours, or the axis would be of years. @param {string[]} dates @returns {string[]} */
function axisOf(dates) {
  const beside = (/** @type {number} */ days) => new Date(Date.parse(dates[0]) + days * 86_400_000).toISOString().slice(0, 10);
  return dates.length === 1 ? [beside(-1), dates[0], beside(1)] : dates;
}

/** @param {DayShare[]} days @param {string[]} versions */
function picture(days, versions) {
  const dates = axisOf([...new Set(days.map((one) => one.day))].sort());
  const found = new Map(days.map((one) => [`${one.adapter} ${one.day}`, one]));
  /** @param {string} version @param {"share" | "lower" | "upper"} what */
  const values = (version, what) => dates.map((day) => found.get(`${version} ${day}`)?.[what] ?? null);
  return lines({
    title: t("overview.votes.picture"),
    x: { label: t("overview.votes.day"), values: dates.map((day) => Date.parse(day) / 1000), isTime: true },
    series: versions.map((version) => ({ label: version, values: values(version, "share"), lower: values(version, "lower"), upper: values(version, "upper") })),
    format: (value) => percent(value),
  });
}

/** @param {Share[]} totals @param {string} live */
function totalsOf(totals, live) {
  const columns = columnsOf("overview.votes.", ["version", "up", "down", "share", "interval"], ["up", "down", "share", "interval"]);
  const answers = (/** @type {Share} */ one, /** @type {"up" | "down"} */ thumb) =>
    el("a", { href: withQuery("/console/data", { tab: "answers", version: one.adapter, thumb }), "data-testid": `${thumb}-${one.adapter}` }, number(one[thumb]));
  return table(t("overview.votes.table"), columns, totals.map((one) => [
    [versionLink(one.adapter), one.adapter === live && [" ", el("span", { class: "pill good" }, t("overview.votes.live"))]],
    answers(one, "up"), answers(one, "down"), percent(one.share), `${percent(one.lower)} … ${percent(one.upper)}`,
  ]), "votes-table");
}
