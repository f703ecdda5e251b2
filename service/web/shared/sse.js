// @ts-check
// Server-sent events of a response to any request: `EventSource` can neither POST nor send a key.

/** @typedef {{name: string, data: string}} ServerEvent */

/** The events of a stream until it ends. @param {Response} response @returns {AsyncGenerator<ServerEvent>} */
export async function* events(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let event = { name: "message", data: "" };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = (rest + (done ? "\n\n" : decoder.decode(value, { stream: true }))).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines.map((text) => text.replace(/\r$/, ""))) {
        if (line.startsWith("data:")) event.data += (event.data ? "\n" : "") + line.slice(5).replace(/^ /, "");
        else if (line.startsWith("event:")) event.name = line.slice(6).trim();
        else if (line === "") {
          if (event.data) yield event;
          event = { name: "message", data: "" };
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {}); // nothing is left to cancel after an end or an abort
  }
}
