// @ts-check
// Words, numbers and times in the reader's language.

const messages = /** @type {Record<string, string>} */ (JSON.parse(document.getElementById("messages")?.textContent || "{}"));
export const language = document.documentElement.lang || "en";
const plurals = new Intl.PluralRules(language);

/**
 * The message of a key with its places filled. Given a `count`, the form of the key that the number asks for, if it has one.
 * A key that there is not shows as itself.
 * @param {string} key @param {Record<string, unknown>} [places] @returns {string}
 */
export function t(key, places = {}) {
  const form = typeof places.count === "number" ? `${key}.${plurals.select(places.count)}` : key;
  const text = messages[form] ?? messages[key] ?? messages[`${key}.other`] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = places[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** @param {string} key */
export function has(key) {
  return key in messages;
}

/** @param {number} value @param {number} [digits] after the point, at most */
export function number(value, digits = 2) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/** @param {number} share @param {number} [digits] */
export function percent(share, digits = 0) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(share);
}

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** As 12 kB, 3.4 GB. @param {number} bytes */
export function size(bytes) {
  const power = Math.min(bytes >= 1 ? Math.floor(Math.log10(bytes) / 3) : 0, SIZES.length - 1);
  const options = { style: /** @type {const} */ ("unit"), unit: SIZES[power], maximumFractionDigits: power > 2 ? 1 : 0 };
  return new Intl.NumberFormat(language, options).format(bytes / 1000 ** power);
}

/** With its sign. @param {number} value @param {number} [digits] */
export function signed(value, digits = 3) {
  return new Intl.NumberFormat(language, { signDisplay: "exceptZero", maximumFractionDigits: digits }).format(value);
}

/** @type {[number, Intl.RelativeTimeFormatUnit][]} */
const UNITS = [[60, "second"], [60, "minute"], [24, "hour"], [30, "day"], [12, "month"], [Infinity, "year"]];

/** How long ago, or how far ahead. @param {number} at_s seconds since 1970 @returns {string} */
export function ago(at_s) {
  let value = at_s - Date.now() / 1000;
  for (const [size, unit] of UNITS) {
    if (Math.abs(value) < size) return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(Math.round(value), unit);
    value /= size;
  }
  return "";
}

/** @param {number} at_s seconds since 1970 */
export function exactly(at_s) {
  return new Date(at_s * 1000).toLocaleString(language, { dateStyle: "medium", timeStyle: "medium" });
}

/** A `<time>`: how long ago, and on asking exactly when. @param {number | null | undefined} at_s @returns {Node} */
export function when(at_s) {
  if (!at_s) return document.createTextNode("–");
  const time = document.createElement("time");
  time.dateTime = new Date(at_s * 1000).toISOString();
  time.title = exactly(at_s);
  time.textContent = ago(at_s);
  return time;
}

/** As 12 s, 3 min 05 s, 2 h 10 min. @param {number} seconds @returns {string} */
export function duration(seconds) {
  const unit = (/** @type {number} */ value, /** @type {string} */ name) =>
    new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
  if (seconds < 1) return unit(Math.round(seconds * 1000), "millisecond");
  if (seconds < 60) return unit(seconds, "second");
  if (seconds < 3600) return `${unit(Math.floor(seconds / 60), "minute")} ${unit(Math.round(seconds % 60), "second")}`;
  return `${unit(Math.floor(seconds / 3600), "hour")} ${unit(Math.round((seconds % 3600) / 60), "minute")}`;
}
