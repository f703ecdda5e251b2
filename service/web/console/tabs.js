// @ts-check
// Tabs that are links: the address names the tab, and the keyboard moves between them as ARIA's pattern has it.

import { byId } from "/web/shared/dom.js";

/** What the address says. @returns {URLSearchParams} */
export function said() {
  return new URLSearchParams(location.search);
}

/**
 * Writes into the address what a tab shows, leaving out what is empty.
 * @param {Record<string, string>} values @param {boolean} [isStep] whether the browser's "back" should return to what was before
 */
export function say(values, isStep = false) {
  const text = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== ""));
  const address = `${location.pathname}?${text}`;
  if (isStep) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

/**
 * Wires the tabs of a list; each names its panel by `aria-controls`. `opened` fills what a tab shows, whenever it is shown.
 * @param {HTMLElement} list @param {(name: string) => unknown} opened
 * @returns {() => void} shows the tab that the address names, or the first
 */
export function tabs(list, opened) {
  const all = /** @type {HTMLAnchorElement[]} */ ([...list.querySelectorAll('[role="tab"]')]);
  const named = (/** @type {string | null} */ name) => all.find((tab) => tab.dataset.tab === name) ?? all[0];

  /** @param {HTMLAnchorElement} chosen */
  function show(chosen) {
    for (const tab of all) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls") ?? "").hidden = tab !== chosen;
    }
    opened(chosen.dataset.tab ?? "");
  }

  /** @param {HTMLAnchorElement} chosen */
  function choose(chosen) {
    if (chosen.href !== location.href) history.pushState(null, "", chosen.href);
    show(chosen);
    chosen.focus();
  }

  list.addEventListener("click", (event) => {
    const tab = /** @type {Element} */ (event.target).closest('[role="tab"]');
    if (!tab || event.ctrlKey || event.metaKey || event.shiftKey) return; // those open it elsewhere
    event.preventDefault();
    choose(/** @type {HTMLAnchorElement} */ (tab));
  });
  list.addEventListener("keydown", (event) => {
    const at = all.indexOf(/** @type {HTMLAnchorElement} */ (event.target));
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1, " ": at }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    choose(all[(to + all.length) % all.length]);
  });
  const now = () => show(named(said().get("tab")));
  addEventListener("popstate", now);
  return now;
}
