// @ts-check
// The suites that judge here, how versions did on them, and what another version would do.

import { compared } from "/web/console/compare.js";
import { fillFrom, guarded, page } from "/web/console/frame.js";
import { bySuite } from "/web/console/history.js";
import { told, versionLink } from "/web/console/outcome.js";
import { buttonOf, rows } from "/web/console/suite_row.js";
import { emptyTable, figure, table } from "/web/console/table.js";
import { get, post, withQuery } from "/web/shared/api.js";
import { byId, el, fill } from "/web/shared/dom.js";
import { duration, number, t } from "/web/shared/i18n.js";

/** @typedef {import("/web/console/suite_row.js").Suite} Suite */
/** @typedef {import("/web/console/versions.js").Move} Move */
/** @typedef {import("/web/console/versions.js").Version} Version */

async function list() {
  /** @type {[Suite[], any[], Move[], Version[]]} */
  const [suites, means, moves, versions] = await Promise.all([
    get("/api/suites"), get("/api/suites/means"), get("/api/release/moves?limit=1000"), get("/api/adapters"),
  ]);
  const live = moves[0]?.adapter ?? "";
  const lives = [...new Set([...moves].reverse().map((move) => move.adapter))];
  offer(suites, versions, live);
  if (!suites.length) return [el("p", { class: "muted" }, t("suites.none"))];
  const known = { live, lives, scores: bySuite(means) };
  const figures = ["suites.number", "suites.items", "suites.margin"].map((key) => figure(t(key)));
  const columns = [t("compare.suite"), t("suites.kind"), ...figures, t("suites.role"), "SHA-256", figure(t("suites.score.live"))];
  const { frame, body } = emptyTable(t("suites.list"), columns, "suite-list");
  body.append(...suites.flatMap((suite) => rows(suite, known)));
  return [el("p", { class: "muted" }, t("suites.list.of"), " ", versionLink(live)), frame];
}

/** Fills what can be chosen from; what was chosen stays. @param {Suite[]} suites @param {Version[]} versions @param {string} live */
function offer(suites, versions, live) {
  const there = versions.filter((version) => version.state !== "erased");
  const parent = versions.find((version) => version.name === live)?.parent ?? live;
  for (const select of /** @type {NodeListOf<HTMLSelectElement>} */ (document.querySelectorAll("[data-versions]"))) {
    const before = select.value;
    fill(select, there.map(({ name }) => el("option", { value: name }, name === live ? `${name} (${t("suites.live")})` : name)));
    select.value = before || (select.name === "a" ? parent : live);
  }
  const names = suites.map((suite) => suite.name);
  const chosen = /** @type {HTMLSelectElement} */ (field("compare", "suite"));
  if (chosen.options.length > 1) return;
  chosen.append(...names.map((name) => el("option", { value: name }, name)));
  fill(byId("run-suites"), names.map((name) => el("label", {}, el("input", { type: "checkbox", name: "suites", value: name }), name)));
}

/** @param {string} form @param {string} name @returns {any} */
function field(form, name) {
  return /** @type {HTMLFormElement} */ (byId(form)).elements.namedItem(name);
}

/** Scores a version, which may take minutes. @param {SubmitEvent} event */
async function run(event) {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const send = /** @type {HTMLButtonElement} */ (event.submitter);
  const said = new FormData(form);
  const started = Date.now();
  const clock = el("span", { class: "muted" });
  const tick = setInterval(() => { clock.textContent = duration((Date.now() - started) / 1000); }, 1000);
  fill(byId("ran"), el("progress", { "aria-label": t("suites.running") }), t("suites.running"), " ", clock);
  send.disabled = true;
  const found = await guarded(form, () => post("/api/suites/run", { adapter: said.get("adapter"), suites: said.getAll("suites") }));
  clearInterval(tick);
  send.disabled = false;
  fill(byId("ran"), found && ran(found));
  if (found) await show();
}

/** @param {{adapter: string, suites: {name: string, kind: string, items: number, mean: number | null}[], unjudged: Record<string, string>}} found */
function ran(found) {
  const columns = [t("compare.suite"), figure(t("suites.items")), figure(t("suites.score"))];
  const figures = found.suites.map((one) => [one.name, number(one.items), one.mean === null ? "–" : number(one.mean, 4)]);
  return [table(t("suites.ran", { name: found.adapter }), columns, figures, "ran-table"),
    Object.entries(found.unjudged).map(([name, why]) => el("p", { class: "muted" }, name, ": ", told(why)))];
}

/** @param {string} before @param {string} after @param {string} suite */
async function compare(before, after, suite) {
  history.replaceState(null, "", withQuery(location.pathname, { a: before, b: after, suite }));
  fill(byId("comparison-title"), versionLink(before), " → ", versionLink(after));
  byId("comparison").hidden = false;
  byId("comparison-title").focus();
  byId("compared").replaceChildren();
  await fillFrom(byId("compared"), () => compared(before, after, suite));
}

async function show() {
  const open = [...document.querySelectorAll('.name-button[aria-expanded="true"]')].map((button) => button.id);
  await fillFrom(byId("suites"), list);
  for (const name of open) byId(name)?.click();
}

byId("run").addEventListener("submit", (event) => void run(/** @type {SubmitEvent} */ (event)));
byId("compare").addEventListener("submit", (event) => {
  event.preventDefault();
  void compare(field("compare", "a").value, field("compare", "b").value, field("compare", "suite").value);
});
page(async () => {
  await show();
  const named = location.hash && byId(buttonOf(decodeURIComponent(location.hash.slice(1))));
  if (named) {
    named.click();
    named.focus();
  }
  const asked = new URLSearchParams(location.search);
  const [a, b] = [asked.get("a"), asked.get("b")];
  if (a && b) await compare(a, b, asked.get("suite") ?? "");
});
