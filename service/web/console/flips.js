// @ts-check
// The items of a suite that turned between two versions: what was asked, and how both did.

import { guarded } from "/web/console/frame.js";
import { figure, table } from "/web/console/table.js";
import { get } from "/web/shared/api.js";
import { el, fill } from "/web/shared/dom.js";
import { number, signed, t } from "/web/shared/i18n.js";

/**
 * @typedef {import("/web/console/compare.js").Compared} Compared
 * @typedef {{role: string, content: string}} Turn
 * @typedef {{id: string, prompt?: Turn[], neutral?: Turn[], choices?: string[], answer?: number, rules?: object[], text?: string}} Item
 */

const RIGHT_OR_WRONG = ["choice", "flips"]; // kinds of which one choice is right
const MOST_NAMED = 100; // items that fit into an address; of more the whole suite is asked for

/**
 * A list that asks for its items when it is opened. @param {Compared} one @param {(turns: Turn[]) => unknown} ask has both versions answer
 * @returns {Node | null}
 */
export function flips({ kind, moves, finding }, ask) {
  if (!moves.length) return null;
  const lost = moves.filter((move) => move.after < move.before).length;
  const place = el("div");
  const summary = t("compare.flips", { suite: finding.name, count: moves.length, lost, won: moves.length - lost });
  return el("details", { class: "flips", "data-testid": "flips", "data-suite": finding.name, ontoggle: () => {
    if (!place.hasChildNodes()) void guarded(place, async () => fill(place, await items(kind, finding.name, moves, ask)));
  } }, el("summary", {}, summary), place);
}

/** @param {string} kind @param {string} suite @param {Compared["moves"]} moves @param {(turns: Turn[]) => unknown} ask */
async function items(kind, suite, moves, ask) {
  const named = moves.length <= MOST_NAMED ? moves : [];
  const query = new URLSearchParams(named.map((move) => ["item", move.item]));
  /** @type {Item[]} */
  const found = await get(`/api/suites/${encodeURIComponent(suite)}/items?${query}`);
  const known = new Map(found.map((item) => [item.id, item]));
  const columns = [t("compare.item"), t("compare.asked"), figure(t("compare.before")), figure(t("compare.after")), figure(t("compare.delta"))];
  const rows = moves.map((move) => [
    [el("span", { class: "mono" }, move.item), el("p", { class: "muted reason" }, move.topic)],
    asked(known.get(move.item), RIGHT_OR_WRONG.includes(kind), ask),
    number(move.before, 3), number(move.after, 3), signed(move.after - move.before, 3),
  ]);
  return [el("p", { class: "muted" }, t(`compare.kind.${kind}`)), table(t("compare.flips.caption", { suite }), columns, rows)];
}

/** @param {Item | undefined} item @param {boolean} isRight whether one of the choices is @param {(turns: Turn[]) => unknown} ask */
function asked(item, isRight, ask) {
  if (!item) return el("span", { class: "muted" }, t("compare.item.gone"));
  const prompt = item.prompt ?? [];
  return [
    ...prompt.map((turn) => el("p", { class: "said" }, prompt.length > 1 && el("b", {}, t(`compare.role.${turn.role}`), ": "), turn.content)),
    item.neutral && el("p", { class: "said muted" }, t("compare.neutral"), " ", item.neutral.map((turn) => turn.content).join("\n")),
    item.text && el("p", { class: "said" }, item.text),
    item.choices && choices(item.choices, isRight ? (item.answer ?? 0) : null),
    prompt.length > 0 && el("button", { type: "button", class: "quiet", "data-testid": "ask-item", onclick: () => ask(prompt) }, t("compare.ask.both")),
  ];
}

/** @param {string[]} all @param {number | null} right */
function choices(all, right) {
  const mark = () => [" ", el("span", { class: "pill good" }, t("compare.right"))];
  return el("ul", { class: "choices" }, all.map((choice, place) => el("li", {}, choice, place === right && mark())));
}
