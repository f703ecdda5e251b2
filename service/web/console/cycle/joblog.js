// @ts-check
// What the jobs of a cycle say: the end of a log, and what is said since each time it is asked for.

import { get, withQuery } from "/web/shared/api.js";
import { el, fill, part } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

const MOST = 200_000; // characters that are kept on the page

/** Of the log that is shown: whose, and from where on it is not. @type {{run: string, next: number | undefined}} */
let at = { run: "", next: undefined };

/** @type {Promise<boolean>} the last look: the next begins when it has ended, or both would show the same lines */
let looking = Promise.resolve(false);

/** Shows what is new in the log. Gives whether there is any. @param {Element} root @param {string} id of the cycle @returns {Promise<boolean>} */
export function showJobLog(root, id) {
  looking = looking.catch(() => false).then(() => look(root, id));
  return looking;
}

/** @param {Element} root @param {string} id @returns {Promise<boolean>} */
async function look(root, id) {
  const log = await get(withQuery(`/api/cycles/${id}/log`, { run: at.run, after: at.next }));
  if (!log.runs.length) return false;
  if (!part(root, "log-text")) fill(root, frame(root, id));
  const [choice, text] = [part(root, "log-run"), part(root, "log-text")];
  fill(choice, log.runs.map((/** @type {string} */ run) => el("option", { value: run, selected: run === log.run }, run)));
  const follows = text.scrollTop + text.clientHeight >= text.scrollHeight - 4;
  const isMore = at.next !== undefined && log.next >= at.next;
  text.textContent = ((isMore ? text.textContent : "") + log.text).slice(-MOST);
  if (follows) text.scrollTop = text.scrollHeight;
  at = { run: log.run, next: log.next };
  return true;
}

/** @param {Element} root @param {string} id */
function frame(root, id) {
  const choose = (/** @type {Event} */ event) => {
    at = { run: /** @type {HTMLSelectElement} */ (event.target).value, next: undefined };
    void showJobLog(root, id);
  };
  return [
    el("label", { class: "field inline" }, el("span", {}, t("cycles.log.run")), el("select", { "data-testid": "log-run", onchange: choose })),
    el("pre", { class: "joblog", tabindex: "0", role: "log", "aria-label": t("cycles.log"), lang: "en", "data-testid": "log-text" }),
  ];
}
