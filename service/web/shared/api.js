// @ts-check
// The service's HTTP. Whatever goes wrong is an error whose message can be shown to people.

import { t } from "/web/shared/i18n.js";

/** Something the server said, to be shown as it is. */
export class ServerError extends Error {
  /** @param {string} message @param {string} code @param {number} status */
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** What our pages say of each request, as no page of another site can. @type {Record<string, string>} */
export const MARK = { "x-requested-with": "ratchet" };

/**
 * Raises `ServerError` unless the answer is fine. Who asks is known by the browser's cookies.
 * @param {string} method @param {string} path
 * @param {{body?: unknown, signal?: AbortSignal, headers?: Record<string, string>, keepalive?: boolean}} [options]
 *   with `keepalive` it is sent even if the page is left meanwhile
 * @returns {Promise<Response>}
 */
export async function call(method, path, { body, signal, headers = {}, keepalive = false } = {}) {
  const sent = { ...headers, ...MARK };
  const isFile = body instanceof Blob;
  if (body !== undefined) sent["content-type"] = isFile ? "application/octet-stream" : "application/json";
  const payload = body === undefined ? undefined : isFile ? body : JSON.stringify(body);
  const response = await fetch(path, { method, headers: sent, body: payload, credentials: "same-origin", signal, cache: "no-store", keepalive });
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  const message = told?.error?.message || t("base.status", { status: response.status });
  throw new ServerError(message, told?.error?.code ?? "", response.status);
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, signal) {
  return (await call("GET", path, { signal })).json();
}

/** @param {string} path @param {unknown} [body] @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function post(path, body, signal) {
  return (await call("POST", path, { body, signal })).json();
}

/** @param {string} path @returns {Promise<any>} */
export async function del(path) {
  return (await call("DELETE", path)).json();
}

/** A path with those of the parameters that say something. @param {string} path @param {Record<string, unknown>} parameters */
export function withQuery(path, parameters) {
  const said = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return said.length ? `${path}?${new URLSearchParams(said.map(([name, value]) => [name, String(value)]))}` : path;
}

/** In words for people. @param {unknown} error @returns {string} */
export function explain(error) {
  if (error instanceof ServerError) return error.message;
  if (!navigator.onLine) return t("base.offline");
  if (error instanceof TypeError) return t("base.unreachable");
  return String(error);
}

/** Saves an answer of the server's as a file of the reader's. @param {string} path @param {string} name */
export async function download(path, name) {
  const address = URL.createObjectURL(await (await call("GET", path)).blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
