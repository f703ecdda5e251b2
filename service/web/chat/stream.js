// @ts-check
// Questions to the service and the answers as they stream in.

import { ServerError, call } from "/web/shared/api.js";
import { t } from "/web/shared/i18n.js";
import { events } from "/web/shared/sse.js";

/**
 * @typedef {{id?: string, model?: string, error?: {message?: string, code?: string},
 *   choices?: {delta?: {content?: string | null}, finish_reason?: string | null}[]}} Chunk
 * @typedef {{conversation: string | null, id: string | null, isCompared: boolean, chunks: AsyncGenerator<Chunk>}} Answering
 */

/**
 * Asks; the answer comes with `chunks`. Raises what `call` does.
 * @param {{role: string, content: string}[]} messages @param {string | null} conversation the one it continues
 * @param {AbortSignal} signal @param {boolean} canCompare whether the reader may be shown two answers
 * @returns {Promise<Answering>}
 */
export async function request(messages, conversation, signal, canCompare) {
  const metadata = conversation ? { conversation_id: conversation } : undefined;
  /** @type {Record<string, string>} */
  const headers = canCompare ? { "x-ratchet-page": "chat" } : {};
  const body = { model: "ratchet", messages, stream: true, metadata };
  const response = await call("POST", "/v1/chat/completions", { body, signal, headers });
  return {
    conversation: response.headers.get("x-conversation-id"),
    id: response.headers.get("x-request-id"),
    isCompared: response.headers.get("x-compare") === "1",
    chunks: chunksOf(response),
  };
}

/** @param {Response} response @returns {AsyncGenerator<Chunk>} */
async function* chunksOf(response) {
  let finished = false;
  for await (const { data } of events(response)) {
    if (data === "[DONE]") return;
    const chunk = /** @type {Chunk} */ (JSON.parse(data));
    if (chunk.error) throw new ServerError(chunk.error.message || t("chat.broken"), chunk.error.code ?? "", response.status);
    finished ||= Boolean(chunk.choices?.[0]?.finish_reason);
    yield chunk;
  }
  if (!finished) throw new ServerError(t("chat.cut"), "", response.status);
}
