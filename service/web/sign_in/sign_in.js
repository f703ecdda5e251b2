// @ts-check
// Signing in with a key; after that the page is the chat.

import { explain, post } from "/web/shared/api.js";
import { byId, part } from "/web/shared/dom.js";
import { wirePreferences } from "/web/shared/preferences.js";

const form = byId("sign-in");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const trouble = part(form, "sign-in-trouble");
  try {
    await post("/v1/session", { key: part(form, "key").value });
    location.reload();
  } catch (error) {
    trouble.textContent = explain(error);
    trouble.hidden = false;
  }
});
wirePreferences();
part(form, "key").focus();
