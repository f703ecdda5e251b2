// @ts-check
// What the data is made of, as a picture and in numbers: how large, how varied, how repetitive, and how domains are mixed.

import { fillFrom } from "/web/console/frame.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { said, say } from "/web/console/tabs.js";
import { call, get, withQuery } from "/web/shared/api.js";
import { byId, el } from "/web/shared/dom.js";
import { number, percent, t } from "/web/shared/i18n.js";

/**
 * @typedef {{distinct: number[], compression: number}} Spread
 * @typedef {{kind: string, domain: string, language: string, texts: number, words: number, tokens: number, length_words: number[],
 *   exact_duplicates: number, near_duplicates: number, spread: Spread, languages: Record<string, number>}} Group
 * @typedef {{domain: string, texts: number, tokens: number, share: number, weight: number}} DomainShare
 * @typedef {{total: {texts: number, words: number, tokens: number, exact_duplicates: number}, groups: Group[], domains: DomainShare[], mixing_temperature: number}} Stats
 */

const SIZES = ["texts", "tokens", "share", "weight_mixed"];
const VARIETY = ["texts", "words_each", "near_duplicates", "distinct", "compression"];

const kindSelect = () => /** @type {HTMLSelectElement} */ (byId("picture-kind"));

export function wirePictures() {
  kindSelect().addEventListener("change", () => {
    say({ tab: "pictures", kind: kindSelect().value });
    void showPictures();
  });
}

export async function showPictures() {
  const kind = kindSelect().value = said().get("kind") ?? "";
  byId("figures").replaceChildren();
  await fillFrom(byId("figures"), async () => {
    /** @type {[Stats, HTMLElement]} */
    const [stats, drawn] = await Promise.all([get(withQuery("/api/data/stats", { kind })), picture(kind)]);
    if (!stats.total.texts) return el("p", { class: "muted" }, t("data.pictures.none"));
    return [summary(stats), drawn, ...(stats.domains.length ? [mixture(stats)] : []), groups(stats)];
  });
}

/** @param {string} kind @returns {Promise<HTMLElement>} */
async function picture(kind) {
  const svg = await (await call("GET", withQuery("/api/data/stats/picture", { kind }))).text();
  return el("figure", {}, el("figcaption", {}, t("data.picture")),
    el("img", { class: "drawn", src: `data:image/svg+xml,${encodeURIComponent(svg)}`, alt: t("data.picture.alt"), "data-testid": "picture" }));
}

/** @param {Stats} stats */
function summary({ total }) {
  const figure = (/** @type {string} */ value, /** @type {string} */ label) =>
    el("div", { class: "card figure" }, el("span", { class: "value" }, value), el("span", { class: "label" }, label));
  return el("div", { class: "cards", "data-testid": "totals" }, figure(number(total.texts), t("data.texts")), figure(number(total.words), t("data.words")),
    figure(number(total.tokens), t("data.tokens")), figure(percent(total.exact_duplicates, 1), t("data.exact_duplicates")));
}

/** @param {Stats} stats */
function mixture({ domains, mixing_temperature }) {
  const { frame, body } = emptyTable(t("data.mixture", { temperature: mixing_temperature }), columnsOf("data.", ["domain", ...SIZES], SIZES));
  body.append(...domains.map((one) => el("tr", { "data-testid": "domain-row" }, el("th", { scope: "row" }, one.domain),
    el("td", { class: "number" }, number(one.texts)), el("td", { class: "number" }, number(one.tokens)), el("td", { class: "number" }, percent(one.share, 1)),
    el("td", { class: "number" }, el("meter", { value: one.weight, max: 1, "aria-hidden": "true" }), " ", percent(one.weight, 1)))));
  return frame;
}

/** @param {Stats} stats */
function groups(stats) {
  const columns = columnsOf("data.", ["kind", "domain", "language", ...VARIETY, "found_languages"], VARIETY);
  const { frame, body } = emptyTable(t("data.groups"), columns);
  body.append(...stats.groups.map((one) => el("tr", {},
    el("td", {}, t(`data.kind.${one.kind}`)), el("td", {}, one.domain), el("td", {}, one.language), el("td", { class: "number" }, number(one.texts)),
    el("td", { class: "number" }, number(one.length_words[2])), el("td", { class: "number" }, percent(one.near_duplicates, 1)),
    el("td", { class: "number" }, percent(one.spread.distinct[1])), el("td", { class: "number" }, number(one.spread.compression, 1)),
    el("td", {}, Object.entries(one.languages).slice(0, 3).map(([code, share]) => `${code} ${percent(share)}`).join(", ")))));
  return frame;
}
