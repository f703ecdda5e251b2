// @ts-check
// The search for answers: what people were told, what they thought of it, and what learnt from it.

import { guarded } from "/web/console/frame.js";
import { listing, partOf } from "/web/console/listing.js";
import { english, exchange, short, versionLink, words } from "/web/console/said.js";
import { said, say } from "/web/console/tabs.js";
import { get, withQuery } from "/web/shared/api.js";
import { byId, el, fill, part } from "/web/shared/dom.js";
import { duration, number, t, when } from "/web/shared/i18n.js";

const PAUSE_MS = 300; // of typing, after which it is searched
const FIELDS = ["text", "version", "thumb", "reason", "from", "to", "person"];
const FLAGS = ["held", "everyone"];

/**
 * @typedef {{id: string, conversation_id: string, person_id: string, question: string, answer: string, version: string | null,
 *   status: string, created_at_s: number, first_token_ms: number | null, latency_ms: number | null, held_reason: string | null,
 *   decision: string | null, datasets: Lesson[],
 *   feedback: {thumb: string | null, reasons: string[], comment: string | null, correction: string | null, preferred_over: string | null} | null}} Answer
 * @typedef {{dataset_id: string, kind: string, split: string, weight: number, drop_reason: string | null}} Lesson
 */

/** @type {ReturnType<typeof listing>} */
let list;

export function wireAnswers() {
  const form = /** @type {HTMLFormElement} */ (part(document, "filters"));
  list = listing({
    place: byId("found"),
    rows: el("ol", { class: "things" }),
    load: async (after) => partOf(await get(withQuery("/api/messages", { ...conditions(), after }))),
    row,
    empty: () => (FIELDS.concat(FLAGS).some((name) => valueOf(name)) ? t("data.none_found") : t("data.none_yet")),
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  const search = () => {
    clearTimeout(waiting);
    say({ tab: "answers", ...Object.fromEntries(FIELDS.concat(FLAGS).map((name) => [name, valueOf(name)])) });
    void list.begin();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, PAUSE_MS);
  });
  form.addEventListener("reset", () => setTimeout(search)); // once the fields are empty
}

/** Shows what the address asks for. */
export async function showAnswers() {
  const wanted = said();
  for (const name of FIELDS) control(name).value = wanted.get(name) ?? "";
  for (const name of FLAGS) control(name).checked = wanted.get(name) === "true";
  offer(wanted.get("version") ?? "");
  await Promise.all([guarded(byId("answers"), offerVersions), list.begin()]);
}

/** @param {string} name @returns {any} */
function control(name) {
  return /** @type {HTMLFormElement} */ (part(document, "filters")).elements.namedItem(name);
}

/** @param {string} name @returns {string} */
function valueOf(name) {
  const found = control(name);
  if (found.type === "checkbox") return found.checked ? "true" : "";
  return found.value.trim();
}

/** What is asked of the server. Days are the reader's own, the last one included. */
function conditions() {
  const { from, to, ...others } = Object.fromEntries(FIELDS.concat(FLAGS).map((name) => [name, valueOf(name)]));
  return { ...others, since_s: from && midnight(from, 0), until_s: to && midnight(to, 1) };
}

/** @param {string} day as 2026-01-31 @param {number} later days @returns {number} seconds since 1970 */
function midnight(day, later) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).getTime() / 1000;
}

async function offerVersions() {
  const chosen = valueOf("version");
  for (const adapter of await get("/api/adapters")) offer(adapter.name);
  offer(chosen);
}

/** Puts a version among those to choose from, and chooses it. @param {string} name */
function offer(name) {
  const select = /** @type {HTMLSelectElement} */ (control("version"));
  if (![...select.options].some((option) => option.value === name)) select.append(el("option", { value: name }, name));
  select.value = name;
}

/** @param {Answer} answer @returns {HTMLElement} */
function row(answer) {
  return el("li", { class: "card thing", "data-testid": "found-answer", "data-id": answer.id },
    el("div", { class: "row facts" },
      when(answer.created_at_s),
      versionLink(answer.version),
      answer.feedback && thumb(answer.feedback.thumb),
      answer.status !== "complete" && el("span", { class: "pill warn" }, t(`data.status.${answer.status}`)),
      answer.held_reason && held(answer),
      el("a", { class: "quiet-link", href: `/console/people?text=${answer.person_id}`, title: answer.person_id }, t("data.who")),
      answer.latency_ms !== null && el("span", { class: "muted" }, duration(answer.latency_ms / 1000))),
    exchange(answer.question, answer.answer),
    answer.feedback && opinion(answer.feedback),
    taught(answer));
}

/** @param {string | null} value */
function thumb(value) {
  return value && el("span", { class: `pill ${value === "up" ? "good" : "bad"}` }, t(`data.thumb.${value}`));
}

/** @param {Answer} answer */
function held(answer) {
  const address = withQuery("/console/data", { tab: "review", state: answer.decision ?? "pending" });
  return el("a", { class: `pill ${answer.decision === "accepted" ? "good" : "warn"}`, href: address },
    t(`data.held.${answer.decision ?? "pending"}`), ": ", english(answer.held_reason ?? ""));
}

/** @param {NonNullable<Answer["feedback"]>} feedback */
function opinion(feedback) {
  const lines = [
    ...feedback.reasons.map((reason) => el("span", { class: "pill" }, t(`data.reason.${reason}`))),
    feedback.preferred_over && el("span", { class: "pill good" }, t("data.preferred")),
  ].filter(Boolean);
  const texts = [["comment", feedback.comment], ["correction", feedback.correction]].filter(([, text]) => text);
  if (!lines.length && !texts.length) return null;
  return el("div", { class: "opinion" }, el("div", { class: "row" }, ...lines),
    texts.length > 0 && el("dl", { class: "exchange" }, texts.map(([name, text]) => [el("dt", {}, t(`data.${name}`)), el("dd", {}, words(text ?? ""))])));
}

/** The datasets that have the answer, and on asking the versions that learnt from it. @param {Answer} answer */
function taught(answer) {
  if (!answer.datasets.length) return null;
  const place = el("span", { role: "status" });
  const ask = el("button", { type: "button", class: "quiet", onclick: () => void guarded(place, async () => {
    const { adapters } = await get(`/api/messages/${encodeURIComponent(answer.id)}/adapters`);
    fill(place, adapters.length ? adapters.map((/** @type {string} */ name) => [versionLink(name), " "]) : t("data.no_learner"));
    ask.remove();
  }) }, t("data.learners"));
  return el("div", { class: "row taught" }, el("span", { class: "muted" }, t("data.in_datasets")), answer.datasets.map(lesson), ask, place);
}

/** @param {Lesson} one */
function lesson(one) {
  const address = withQuery("/console/data", { tab: "datasets", id: one.dataset_id });
  const how = one.drop_reason ? english(one.drop_reason) : `${t("data.weight")} ${number(one.weight)}`;
  return el("span", { class: "pill" }, el("a", { href: address }, short(one.dataset_id, 8)), " ", t(`data.split.${one.split}`), ", ", how);
}
