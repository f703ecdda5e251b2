// @ts-check
// Until the server says that it is ready: tells what it waits for, so that nothing is sent into the void.

import { byId } from "/web/shared/dom.js";
import { has, t } from "/web/shared/i18n.js";

const LOOK_MS = 1000;
const LOOK_LIMIT_MS = 8000;

let isReady = true; // as the server said last; believed until it says otherwise
let isWatching = false;
let changed = () => {};

/** Whether there is somebody to answer. */
export function ready() {
  return isReady;
}

/** Has `listener` called at each change. @param {() => void} listener */
export function onReadyChange(listener) {
  changed = listener;
  window.addEventListener("offline", () => void watchReady());
  window.addEventListener("online", () => void watchReady());
}

/** Looks until it is ready, and for a while longer where something makes one doubt that it is. @param {number} [doubt_ms] */
export async function watchReady(doubt_ms = 0) {
  if (isWatching) return;
  isWatching = true;
  const until_ms = performance.now() + doubt_ms;
  while (!(await look()) || performance.now() < until_ms) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  isWatching = false;
}

async function look() {
  const response = await fetch("/health/ready", { cache: "no-store", signal: AbortSignal.timeout(LOOK_LIMIT_MS) }).catch(() => null);
  isReady = Boolean(response?.ok);
  changed();
  const told = isReady ? null : await response?.json().catch(() => null);
  const pill = byId("status");
  pill.hidden = isReady;
  const words = isReady ? "" : wordsFor(Boolean(response), told?.waiting_for);
  if (pill.textContent !== words) pill.textContent = words; // else screen readers would say it again and again
  return isReady;
}

/** @param {boolean} isReached @param {string | undefined} stage @returns {string} */
function wordsFor(isReached, stage) {
  if (!navigator.onLine && !isReached) return t("base.offline");
  if (!isReached) return t("chat.waits.server");
  const key = `chat.waits.${(stage ?? "").replace(/^engine: /, "").replaceAll(" ", "_")}`;
  return t(has(key) ? key : "chat.waits.model");
}
