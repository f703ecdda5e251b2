// @ts-check
// What every page of the console does: signs the operator in, shows what the page loads, and keeps it fresh.

import { ServerError, call, del, explain, post } from "/web/shared/api.js";
import { byId, el, fill, part } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";
import { wirePreferences } from "/web/shared/preferences.js";
import { events } from "/web/shared/sse.js";

const PAUSE_MS = 3000; // before a broken stream of events is asked for again
const SIGNED_OUT = 401;
const SESSION = "/v1/session";

/** What the page's address names, "" where nothing. */
export const id = document.body.dataset.id ?? "";

let signedIn = "signedIn" in document.body.dataset;
/** Whether an operator is. */
export const isSignedIn = () => signedIn;

/** @type {(() => unknown) | null} */
let load = null;

/** Says how the page is filled: now, if somebody is signed in, and again after each signing in. @param {() => unknown} filler */
export function page(filler) {
  load = filler;
  void show();
}

async function show() {
  byId("sign-in").hidden = signedIn;
  byId("page").hidden = !signedIn;
  byId("sign-out").hidden = !signedIn;
  if (!signedIn) return part(byId("sign-in"), "key").focus();
  await guarded(byId("page"), async () => load?.());
}

/**
 * Runs what asks the server. What goes wrong is told in `place`; a session that is over leads back to signing in.
 * @template T @param {Element} place @param {() => Promise<T> | T} work @returns {Promise<T | undefined>}
 */
export async function guarded(place, work) {
  place.querySelector(":scope > .trouble")?.remove();
  try {
    return await work();
  } catch (error) {
    if (isSignedOut(error)) return leave();
    place.prepend(el("p", { class: "trouble", role: "alert", "data-testid": "trouble" }, explain(error), " ",
      el("button", { type: "button", class: "quiet", onclick: () => void guarded(place, work) }, t("base.retry"))));
  }
}

/** Fills a place with what the server says, telling meanwhile that it is being asked. @param {Element} place @param {() => Promise<Node | Node[]>} make */
export async function fillFrom(place, make) {
  place.setAttribute("aria-busy", "true");
  const loading = el("p", { class: "muted" }, t("base.loading"));
  if (!place.hasChildNodes()) place.append(loading);
  await guarded(place, async () => fill(place, await make()));
  loading.remove();
  place.removeAttribute("aria-busy");
}

/**
 * Calls `heard` with each of the service's events, for as long as the page is open; after a break with null, as some are missed.
 * @param {(event: {name: string, data: any} | null) => unknown} heard
 */
export async function follow(heard) {
  for (;;) {
    try {
      for await (const event of events(await call("GET", "/api/events"))) heard({ name: event.name, data: JSON.parse(event.data) });
    } catch (error) {
      if (isSignedOut(error)) return;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    heard(null);
  }
}

/** @param {unknown} error */
const isSignedOut = (error) => error instanceof ServerError && error.status === SIGNED_OUT;

function leave() {
  signedIn = false;
  void show();
  return undefined;
}

async function signOut() {
  await guarded(byId("page"), async () => {
    await del(SESSION);
    leave();
  });
}

/** @param {SubmitEvent} event */
async function signIn(event) {
  event.preventDefault();
  const form = byId("sign-in");
  const trouble = part(form, "sign-in-trouble");
  try {
    const { role } = await post(SESSION, { key: part(form, "key").value });
    if (role === "person") {
      await del(SESSION);
      throw new ServerError(t("console.sign_in.person"), "", 403);
    }
    signedIn = true;
    form.reset();
    trouble.hidden = true;
    await show();
    byId("content").focus();
  } catch (error) {
    trouble.textContent = explain(error);
    trouble.hidden = false;
  }
}

byId("sign-in").addEventListener("submit", (event) => void signIn(/** @type {SubmitEvent} */ (event)));
byId("sign-out").addEventListener("click", () => void signOut());
byId("menu").addEventListener("click", () => {
  const open = byId("menu").closest(".bar")?.classList.toggle("open") ?? false;
  byId("menu").setAttribute("aria-expanded", String(open));
});
wirePreferences();
void show();
