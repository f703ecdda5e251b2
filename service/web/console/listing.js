// @ts-check
// Lists that grow page by page, as the API gives them.

import { guarded } from "/web/console/frame.js";
import { el } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";

/**
 * A page of items, and what the next one comes after; null after the last.
 * @template T @typedef {{items: T[], next: string | null}} Part
 */

/** A page of the API's as a part. @param {{data: any[], last_id: string | null, has_more: boolean}} page @returns {Part<any>} */
export function partOf(page) {
  return { items: page.data, next: page.has_more ? page.last_id : null };
}

/**
 * Wires a list; `frame` is what is not shown while there is nothing to list, the rows themselves where it is not said.
 * @template T
 * @param {{place: Element, rows: HTMLElement, frame?: HTMLElement, load: (after: string) => Promise<Part<T>>, row: (item: T) => HTMLElement,
 *   empty: () => string}} list
 * @returns {{begin: () => Promise<void>}} `begin` empties the list and asks for its first page
 */
export function listing({ place, rows, frame = rows, load, row, empty }) {
  let turn = 0;
  let after = "";
  const more = el("button", { type: "button", hidden: true, "data-testid": "more", onclick: () => void next() }, t("base.more"));
  const note = el("p", { class: "muted", role: "status", "data-testid": "list-note" });
  if (!place.contains(frame)) place.append(frame);
  place.append(note, more);

  async function next() {
    const mine = turn;
    const held = document.activeElement === more;
    more.disabled = true;
    note.textContent = t("base.loading");
    await guarded(place, async () => {
      const found = await load(after);
      if (mine === turn) show(found, held); // else another list is asked for by now
    });
    if (mine !== turn) return;
    more.disabled = false;
    if (note.textContent === t("base.loading")) note.textContent = "";
  }

  /** @param {Part<T>} found @param {boolean} held whether the reader stands on the button */
  function show(found, held) {
    const made = found.items.map(row);
    rows.append(...made);
    after = found.next ?? "";
    more.hidden = found.next === null;
    frame.hidden = !rows.childElementCount;
    note.textContent = frame.hidden ? empty() : "";
    if (!held || !made.length) return;
    made[0].tabIndex = -1;
    made[0].focus();
  }

  return {
    begin() {
      turn += 1;
      after = "";
      rows.replaceChildren();
      frame.hidden = true;
      more.hidden = true;
      return next();
    },
  };
}
