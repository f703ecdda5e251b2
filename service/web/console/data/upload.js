// @ts-check
// A file to the server with progress by bytes, and then the lines of its answer as they come: `fetch` tells nothing of the way up.

import { MARK, ServerError } from "/web/shared/api.js";
import { t } from "/web/shared/i18n.js";

/**
 * Sends a file. Rejects with `ServerError` where it is refused, with TypeError where the connection breaks, and with an
 * AbortError once `stop` was called; also with what `line` throws.
 * @param {string} path @param {File} file
 * @param {{sent: (bytes: number) => unknown, line: (line: any) => unknown}} heard `line` gets each object of the answer
 * @returns {{done: Promise<void>, stop: () => void}}
 */
export function upload(path, file, heard) {
  const request = new XMLHttpRequest();
  let read = 0;
  const readLines = (/** @type {boolean} */ isEnd) => {
    const end = isEnd ? request.responseText.length : request.responseText.lastIndexOf("\n") + 1;
    for (const line of request.responseText.slice(read, end).split("\n")) if (line.trim()) heard.line(JSON.parse(line));
    read = Math.max(read, end);
  };
  const done = new Promise((resolve, reject) => {
    const hear = (/** @type {boolean} */ isEnd) => {
      try {
        readLines(isEnd);
      } catch (error) {
        reject(error);
      }
    };
    request.upload.addEventListener("progress", (event) => heard.sent(event.loaded));
    request.addEventListener("progress", () => request.status === 200 && hear(false));
    request.addEventListener("load", () => {
      if (request.status >= 300) return reject(refusal(request));
      hear(true);
      resolve(undefined);
    });
    request.addEventListener("error", () => reject(new TypeError("the connection broke")));
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
  });
  request.open("POST", path);
  for (const [name, value] of Object.entries(MARK)) request.setRequestHeader(name, value);
  request.setRequestHeader("content-type", "application/octet-stream");
  request.send(file);
  return { done, stop: () => request.abort() };
}

/** @param {XMLHttpRequest} request @returns {ServerError} */
function refusal(request) {
  try {
    const { message, code } = JSON.parse(request.responseText).error;
    return new ServerError(message, code ?? "", request.status);
  } catch {
    return new ServerError(t("base.status", { status: request.status }), "", request.status);
  }
}
