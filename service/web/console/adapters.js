// @ts-check
// All versions: where each comes from, what people thought of it, and one against another.

import { compared } from "/web/console/compare.js";
import { upload } from "/web/console/data/upload.js";
import { fillFrom, follow, guarded, page } from "/web/console/frame.js";
import { cycleLink, versionLink } from "/web/console/outcome.js";
import { asList, grow } from "/web/console/tree.js";
import { periodsOf, statePill, thumbsLink } from "/web/console/versions.js";
import { get, withQuery } from "/web/shared/api.js";
import { byId, el, fill } from "/web/shared/dom.js";
import { number, t, when } from "/web/shared/i18n.js";

/** @typedef {import("/web/console/versions.js").Version} Version */
/** @typedef {import("/web/console/versions.js").Period} Period */
/** @typedef {import("/web/console/versions.js").Thumbs} Thumbs */

const DAYS = 366; // of thumbs
const asked = new URLSearchParams(location.search);

/** At most two, in the order in which they were chosen. @type {string[]} */
let chosen = [asked.get("a"), asked.get("b")].filter((name) => name !== null);

/** Places of versions by name, the oldest first. @type {Map<string, number>} */
let ages = new Map();

async function lineage() {
  const [versions, moves, votes] = await Promise.all([
    get("/api/adapters"), get("/api/release/moves?limit=1000"), get(`/api/votes?days=${DAYS}`),
  ]);
  ages = new Map([...versions].reverse().map((/** @type {Version} */ version, /** @type {number} */ place) => [version.name, place]));
  chosen = chosen.filter((name) => ages.has(name));
  const thumbs = new Map(votes.totals.map((/** @type {Thumbs} */ one) => [one.adapter, one]));
  const periods = periodsOf(moves);
  const live = moves[0]?.adapter ?? "";
  byId("to-live").hidden = versions.length < 20;
  return asList(grow(versions, live), (version) =>
    line(version, version.name === live, thumbs.get(version.name), periods.get(version.name) ?? []));
}

/** @param {Version} version @param {boolean} isLive @param {Thumbs | undefined} thumbs @param {Period[]} periods */
function line(version, isLive, thumbs, periods) {
  const { name } = version;
  const box = el("input", { type: "checkbox", id: `choose-${name}`, "data-choose": name, checked: chosen.includes(name), onchange: choose });
  return [
    el("span", { class: "name", id: isLive && "live" }, versionLink(name)),
    el("span", { class: "states" }, statePill(version.state),
      version.tainted_at_s !== null && el("span", { class: "pill bad", title: t("adapters.tainted.why") }, t("adapters.tainted"))),
    el("span", { class: "cycle" }, version.cycle_id !== null && cycleLink(version.cycle_id)),
    el("span", { class: "thumbs" }, thumbsLink(name, thumbs)),
    el("span", { class: "times muted" }, times(version, periods)),
    el("label", { class: "choose" }, box, el("span", { class: "sr-only" }, t("adapters.choose.version", { name }))),
  ];
}

/** @param {Version} version @param {Period[]} periods */
function times(version, periods) {
  const last = periods.at(-1);
  if (!last) return [t("adapters.made"), " ", when(version.created_at_s)];
  return [t(last.to_s === null ? "adapters.live_since" : "adapters.live_until"), " ", when(last.to_s ?? last.from_s)];
}

/** @param {Event} event */
function choose(event) {
  const box = /** @type {HTMLInputElement} */ (event.target);
  const name = box.dataset.choose ?? "";
  chosen = chosen.filter((one) => one !== name);
  if (box.checked) chosen = [...chosen, name].slice(-2);
  showChosen();
}

/** The older one is what the other is compared with. */
function inOrder() {
  return [...chosen].sort((one, other) => (ages.get(one) ?? 0) - (ages.get(other) ?? 0));
}

function showChosen() {
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("[data-choose]"))) {
    box.checked = chosen.includes(box.dataset.choose ?? "");
  }
  fill(byId("chosen"), chosen.length ? inOrder().join(" → ") : t("adapters.choose"), chosen.length === 1 && ` → ${t("adapters.choose.second")}`);
  /** @type {HTMLButtonElement} */ (byId("compare")).disabled = chosen.length < 2;
  byId("clear").hidden = !chosen.length;
}

/** @param {string} before @param {string} after @param {boolean} [isAsked] by a press, which then leads there */
async function compare(before, after, isAsked = true) {
  history.replaceState(null, "", withQuery(location.pathname, { a: before, b: after }));
  fill(byId("comparison-title"), versionLink(before), " → ", versionLink(after));
  byId("comparison").hidden = false;
  byId("swap").onclick = () => void compare(after, before);
  if (isAsked) byId("comparison-title").focus();
  byId("compared").replaceChildren();
  await fillFrom(byId("compared"), () => compared(before, after));
}

function clear() {
  chosen = [];
  history.replaceState(null, "", location.pathname);
  byId("comparison").hidden = true;
  showChosen();
}

/** @param {SubmitEvent} event */
async function bringIn(event) {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const [file] = /** @type {HTMLInputElement} */ (form.elements.namedItem("file")).files ?? [];
  const bar = el("progress", { max: file.size, value: 0, "aria-label": t("adapters.import.progress") });
  const told = el("span", { class: "muted" });
  fill(byId("importing"), bar, told);
  const made = await guarded(form, async () => {
    /** @type {Version | null} */
    let answer = null;
    const sent = (/** @type {number} */ bytes) => {
      bar.value = bytes;
      const figures = { sent: number(bytes / 1e6, 1), total: number(file.size / 1e6, 1) };
      told.textContent = bytes < file.size ? t("adapters.import.sent", figures) : t("adapters.import.checked");
    };
    await upload("/api/adapters/import", file, { sent, line: (line) => { answer = line; } }).done;
    return /** @type {Version | null} */ (answer);
  });
  fill(byId("importing"), made && [t("adapters.import.done"), " ", versionLink(made.name, "imported")]);
  if (!made) return;
  form.reset();
  await show();
}

/** Keeps the reader's place where the list is shown anew. */
async function show() {
  const focused = document.activeElement?.id ?? "";
  await fillFrom(byId("lineage"), async () => [await lineage()]);
  if (focused) byId(focused)?.focus();
  showChosen();
}

byId("compare").addEventListener("click", () => void compare(...(/** @type {[string, string]} */ (inOrder()))));
byId("clear").addEventListener("click", clear);
byId("import").addEventListener("submit", (event) => void bringIn(/** @type {SubmitEvent} */ (event)));
page(async () => {
  await show();
  if (chosen.length === 2) await compare(chosen[0], chosen[1], false);
  void follow((event) => {
    if (event === null || event.name === "cycle") void show();
  });
});
