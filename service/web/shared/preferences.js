// @ts-check
// The reader's language and colours, kept in cookies so that the server sends pages that are right at once.

const YEAR_S = 365 * 24 * 3600;

/** @param {string} name @param {string} value "" for what the browser says */
function choose(name, value) {
  document.cookie = `ratchet_${name}=${value}; path=/; max-age=${value ? YEAR_S : 0}; samesite=strict`;
}

/** Wires the controls of preferences.html. */
export function wirePreferences() {
  for (const control of document.querySelectorAll("[data-preference]")) {
    const select = /** @type {HTMLSelectElement} */ (control);
    select.addEventListener("change", () => {
      const name = select.dataset.preference ?? "";
      choose(name, select.value);
      if (name === "language") location.reload();
      else showTheme(select.value);
    });
  }
}

/** @param {string} theme */
function showTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  document.dispatchEvent(new CustomEvent("themechange"));
}
