// @ts-check
// The answers that taught a version, itself or through those it descends from.

import { guarded } from "/web/console/frame.js";
import { get, withQuery } from "/web/shared/api.js";
import { el } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

const SHOWN = 60;

/** @param {string} name @returns {Promise<Node[]>} */
export async function lessons(name) {
  const list = el("ul", { class: "ids mono", "data-testid": "lesson-ids" });
  const more = el("button", { type: "button" }, t("base.more"));
  const place = el("div", {}, list, more);
  let after = "";
  const next = async () => {
    const found = await get(withQuery(`/api/adapters/${encodeURIComponent(name)}/messages`, { after, limit: SHOWN }));
    list.append(...found.messages.map((/** @type {string} */ id) => el("li", {}, id)));
    after = found.messages.at(-1) ?? "";
    more.hidden = !found.has_more;
  };
  more.addEventListener("click", () => void guarded(place, next));
  await next();
  const note = el("p", { class: "muted" }, t(list.hasChildNodes() ? "adapters.lessons.what" : "adapters.lessons.none"));
  return list.hasChildNodes() ? [note, place] : [note];
}
