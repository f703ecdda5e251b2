// @ts-check
// The people page: who is here and what they do, their keys, and forgetting people with proof that they are gone.

import { page } from "/web/console/frame.js";
import { listing, partOf } from "/web/console/listing.js";
import { forget, showErasures } from "/web/console/people/erasures.js";
import { addPerson } from "/web/console/people/key.js";
import { keys } from "/web/console/people/keys.js";
import { countLink, short } from "/web/console/said.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { said, say } from "/web/console/tabs.js";
import { get, withQuery } from "/web/shared/api.js";
import { byId, el } from "/web/shared/dom.js";
import { number, t, when } from "/web/shared/i18n.js";

/**
 * @typedef {{conversations: number, answers: number, up: number, down: number, taught: number, weight: number | null, seen_at_s: number | null}} Activity
 * @typedef {{id: string, name: string, created_at_s: number, learn: boolean, activity: Activity}} Person
 */

const PAUSE_MS = 300; // of typing, after which it is searched
const counts = ["conversations", "answers", "up", "down", "taught", "weight"];
const { frame, body } = emptyTable(t("people.here"), columnsOf("people.", ["name", "consent", ...counts, "seen", "since", "actions"], counts));
const field = /** @type {HTMLInputElement} */ (byId("look").querySelector("input"));
field.value = said().get("text") ?? "";

const people = listing({
  place: byId("list"),
  rows: body,
  frame,
  load: async (after) => partOf(await get(withQuery("/api/people", { text: field.value.trim(), after }))),
  row,
  empty: () => t(field.value ? "people.none_found" : "people.none"),
});

/** @param {Person} person @returns {HTMLElement} */
function row(person) {
  const { activity } = person;
  const of = (/** @type {number} */ count, /** @type {Record<string, unknown>} */ more = {}) =>
    el("td", { class: "number" }, countLink(count, { person: person.id, everyone: true, ...more }));
  return el("tr", { "data-testid": "person", "data-id": person.id },
    el("th", { scope: "row" }, person.name || t("people.nameless"), el("div", { class: "muted" }, short(person.id, 18))),
    el("td", {}, el("span", { class: `pill ${person.learn ? "good" : ""}` }, t(person.learn ? "people.learns" : "people.refuses"))),
    el("td", { class: "number" }, number(activity.conversations)),
    of(activity.answers), of(activity.up, { thumb: "up" }), of(activity.down, { thumb: "down" }),
    el("td", { class: "number" }, number(activity.taught)),
    el("td", { class: "number" }, activity.weight === null ? "–" : number(activity.weight)),
    el("td", {}, when(activity.seen_at_s)), el("td", {}, when(person.created_at_s)),
    el("td", {}, el("button", {
      type: "button", class: "quiet", "aria-label": t("people.forget_one", { name: person.name || person.id }), "data-testid": "forget",
      onclick: () => void forgetPerson(person),
    }, t("people.forget"))));
}

/** @param {Person} person */
async function forgetPerson(person) {
  if (await forget(person)) await Promise.all([people.begin(), keys.begin(), showErasures()]);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let waiting;
const search = () => {
  clearTimeout(waiting);
  say({ text: field.value.trim() });
  void people.begin();
};
byId("look").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
field.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(search, PAUSE_MS);
});
byId("add").addEventListener("click", async () => {
  if (await addPerson()) await Promise.all([people.begin(), keys.begin()]);
});

page(() => Promise.all([people.begin(), keys.begin(), showErasures()]));
