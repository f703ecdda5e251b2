// @ts-check
// The form that brings a file in: chosen or dropped, sent with progress by bytes, and then read with progress by records.

import { upload } from "/web/console/data/upload.js";
import { columnsOf, emptyTable } from "/web/console/table.js";
import { ServerError, explain, withQuery } from "/web/shared/api.js";
import { byId, el, fill, part } from "/web/shared/dom.js";
import { has, number, size, t } from "/web/shared/i18n.js";

/** @typedef {{records: number, added: any, known?: number, skipped: number, first_skipped: {place?: string, record?: number, reason: string}[]}} Imported */

/** @type {(() => void) | null} of the upload that runs */
let stop = null;

/** @param {() => unknown} refresh shows what there is, after a file came in */
export function wireBring(refresh) {
  const form = /** @type {HTMLFormElement} */ (byId("bring"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(refresh);
  });
  form.addEventListener("change", () => {
    choose("of-talks", field("what").value === "talks");
    choose("of-documents", field("what").value !== "talks");
    showChosen();
  });
  byId("bring-stop").addEventListener("click", () => stop?.());
  wireDrop(part(form, "drop"));
  addEventListener("beforeunload", (event) => stop && event.preventDefault());
}

/** @param {HTMLElement} place */
function wireDrop(place) {
  const over = (/** @type {DragEvent} */ event, /** @type {boolean} */ isOver) => {
    event.preventDefault();
    place.classList.toggle("over", isOver);
  };
  place.addEventListener("dragover", (event) => over(event, true));
  place.addEventListener("dragleave", (event) => over(event, false));
  place.addEventListener("drop", (event) => {
    over(event, false);
    const files = event.dataTransfer?.files;
    if (!files?.length) return;
    field("file").files = files;
    showChosen();
  });
}

/** @param {string} name @returns {any} */
function field(name) {
  return /** @type {HTMLFormElement} */ (byId("bring")).elements.namedItem(name);
}

/** @param {string} id @param {boolean} isWanted */
function choose(id, isWanted) {
  const set = /** @type {HTMLFieldSetElement} */ (byId(id));
  set.hidden = set.disabled = !isWanted;
}

function showChosen() {
  const file = field("file").files[0];
  byId("chosen").textContent = file ? `${file.name} (${size(file.size)})` : t("data.bring.file");
}

/** @param {File} file @returns {string} */
function address(file) {
  if (field("what").value === "talks") return withQuery("/api/data/import", { layout: field("talks-layout").value });
  const names = ["domain", "language", "source", "licence", "kind", "layout"];
  return withQuery("/api/documents/import", { ...Object.fromEntries(names.map((name) => [name, field(name).value.trim()])), name: file.name });
}

/** @param {() => unknown} refresh */
async function send(refresh) {
  if (stop) return;
  const file = /** @type {File} */ (field("file").files[0]);
  begin();
  const sending = upload(address(file), file, { sent: (bytes) => tell(bytes, file.size, "data.bring.sent", size), line: hear });
  stop = sending.stop;
  try {
    await sending.done;
  } catch (error) {
    fill(byId("brought"), el("p", { class: "trouble", role: "alert", "data-testid": "bring-trouble" }, isStopped(error) ? t("data.bring.stopped") : explain(error)));
  }
  end();
  await refresh();
}

/** @param {unknown} error */
const isStopped = (error) => error instanceof DOMException && error.name === "AbortError";

function begin() {
  fill(byId("brought"));
  byId("bringing").hidden = byId("bring-stop").hidden = false;
  part(document, "bring-send").disabled = true;
}

function end() {
  stop = null;
  byId("bringing").hidden = byId("bring-stop").hidden = true;
  part(document, "bring-send").disabled = false;
}

/** A line of the answer: how far it is, how it went, or why it ended; without any of those, the whole answer. @param {any} line */
function hear(line) {
  if (line.error) throw new ServerError(line.error.message, line.error.code ?? "", 200);
  if (line.progress) return tellProgress(line.progress);
  showImported(line.imported ?? line);
}

/** @param {{step: string, records: number, added: number, of: number}} progress */
function tellProgress({ step, records, of }) {
  if (step === "adding") tell(records, of, "data.bring.adding", number);
  else tell(records, 0, "data.bring.reading", number);
}

/** @param {number} done @param {number} all 0 where it is not known @param {string} key @param {(value: number) => string} format */
function tell(done, all, key, format) {
  const bar = /** @type {HTMLProgressElement} */ (byId("bring-progress"));
  if (all) bar.max = all;
  if (all) bar.value = done;
  else bar.removeAttribute("value");
  byId("bring-says").textContent = t(all && done >= all && key === "data.bring.sent" ? "data.bring.waiting" : key, { done: format(done), all: format(all) });
}

/** @param {Imported} done */
function showImported(done) {
  const added = typeof done.added === "number" ? { documents: done.added } : done.added;
  const parts = Object.entries(added).filter(([name]) => has(`data.added.${name}`)).map(([name, count]) => `${t(`data.added.${name}`)}: ${number(Number(count))}`);
  if (done.known) parts.push(`${t("data.added.known")}: ${number(done.known)}`);
  fill(byId("brought"),
    el("p", { class: "pill good", "data-testid": "brought-says" }, t("data.bring.done", { records: done.records }), " ", parts.join(", ")),
    done.skipped > 0 && skipped(done));
}

/** @param {Imported} done */
function skipped(done) {
  const { frame, body } = emptyTable(t("data.bring.skipped", { count: done.skipped }), columnsOf("data.", ["place", "why"]));
  body.append(...done.first_skipped.map((one) => el("tr", {}, el("td", {}, one.place ?? number(one.record ?? 0)), el("td", { lang: "en" }, one.reason))));
  return frame;
}
