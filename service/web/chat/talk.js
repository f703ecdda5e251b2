// @ts-check
// One conversation and what is being said in it: asks along the shown path, and keeps the tree as the server has it.
//
// The server attaches an answer by the words before it: the same words go on, others begin a branch. So a question asked
// again, edited or answered twice is a request like any other, and only the tree here knows which place it takes.

import { explain, get } from "/web/shared/api.js";
import { uuid } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";
import { keepUnsent, keptUnsent } from "./drafts.js";
import { request } from "./stream.js";
import { Tree, noOpinion } from "./tree.js";

/**
 * @typedef {import("./tree.js").Turn} Turn
 * @typedef {{changed: (talk: Talk) => void, grew: (talk: Talk, turn: Turn) => void, named: (talk: Talk) => void,
 *   ended: (talk: Talk) => void, failed: () => void}} Hooks
 *   `changed`: other turns are shown, or one of them is in another state; `grew`: a turn has more words; `named`: the server
 *   gave the conversation its id; `ended`: nothing is being written any more
 * @typedef {{first: string, second: string, canChoose: boolean}} Pair keys of two answers to be compared
 */

const KEPT_TRIES = 6; // looks for an answer that was broken off, which is kept a moment later
const KEPT_PAUSE_MS = 300;

export class Talk {
  /** @param {Hooks} hooks @param {string | null} [id] @param {string} [title] @param {Tree} [tree] */
  constructor(hooks, id = null, title = "", tree = new Tree()) {
    this.hooks = hooks;
    this.id = id;
    this.title = title;
    this.tree = tree;
    /** @type {AbortController | null} */
    this.running = null;
    /** @type {Pair | null} */
    this.pair = null;
    /** @type {Promise<void>} what must be known before the next question: what the server kept of a broken answer */
    this.settling = Promise.resolve();
  }

  /** The conversation as the server has it. Raises `ServerError`. @param {Hooks} hooks @param {string} id @returns {Promise<Talk>} */
  static async load(hooks, id) {
    const found = await get(`/v1/conversations/${encodeURIComponent(id)}`);
    return new Talk(hooks, found.id, found.title, new Tree(found.messages.map(turnOf)));
  }

  stop() {
    this.running?.abort();
  }

  /** Asks something new after the path's last answer, or in place of the question below `parent`. @param {string} text @param {string | null} [parent] */
  async ask(text, parent) {
    if (this.running) return;
    const running = this.#begin();
    await this.settling;
    const below = parent === undefined ? this.tree.tip() : parent;
    const question = this.tree.find(below, "user", text) ?? this.tree.add(newTurn("user", below, text, "done"));
    keepUnsent(this.id, { text, id: null });
    await this.#answer(question, running, true);
  }

  /** Has the question of an answer answered anew; one of which nothing is kept makes room. @param {Turn} answer */
  async again(answer) {
    const question = this.tree.get(answer.parent ?? "");
    if (this.running || !question) return;
    const running = this.#begin();
    await this.settling;
    if (answer.state === "failed") this.tree.remove(answer.key);
    await this.#answer(question, running, false);
  }

  /** Ends a comparison. @param {string} key the answer that goes on */
  settle(key) {
    this.pair = null;
    this.tree.select(key);
    this.hooks.changed(this);
  }

  /** Shows the turn before or after one of the same place. @param {string} key @param {number} step @returns {string} the key of the one shown */
  turnTo(key, step) {
    const keys = this.tree.siblings(key);
    const other = keys[keys.indexOf(key) + step] ?? key;
    this.tree.select(other);
    this.hooks.changed(this);
    return other;
  }

  #begin() {
    this.pair = null;
    this.running = new AbortController();
    return this.running;
  }

  /** @param {Turn} question @param {AbortController} running @param {boolean} canCompare */
  async #answer(question, running, canCompare) {
    const first = this.#place(question);
    await this.#write(first, question, running.signal, canCompare);
    const pair = /** @type {Pair | null} */ (this.pair);
    const second = pair && this.tree.get(pair.second);
    if (pair && second) {
      if (first.state === "done") await this.#write(second, question, running.signal, false);
      if (second.state === "done") pair.canChoose = true;
      else this.#unpair(second);
    }
    this.running = null;
    this.hooks.changed(this);
    this.hooks.ended(this);
  }

  /** @param {Turn} second that there is nothing of, or not all */
  #unpair(second) {
    this.pair = null;
    if (second.state === "failed" || second.state === "streaming") this.tree.remove(second.key);
  }

  /** @param {Turn} question */
  #place(question) {
    const turn = this.tree.add(newTurn("assistant", question.key, "", "streaming"));
    this.tree.select(turn.key);
    this.hooks.changed(this);
    return turn;
  }

  /** @param {Turn} first @param {Turn} question */
  #beginPair(first, question) {
    const second = this.tree.add(newTurn("assistant", question.key, "", "streaming"));
    this.tree.select(first.key);
    this.pair = { first: first.key, second: second.key, canChoose: false };
  }

  /** Writes one answer into its turn, however it ends. @param {Turn} turn @param {Turn} question @param {AbortSignal} signal @param {boolean} canCompare */
  async #write(turn, question, signal, canCompare) {
    try {
      await this.#stream(turn, question, signal, canCompare);
      turn.state = turn.content ? "done" : "failed";
      if (!turn.content) turn.note = t("chat.nothing_said");
      keepUnsent(this.id, null);
    } catch (error) {
      this.#break(turn, question, signal.aborted, error);
    }
    this.hooks.changed(this);
  }

  /** @param {Turn} turn @param {Turn} question @param {AbortSignal} signal @param {boolean} canCompare */
  async #stream(turn, question, signal, canCompare) {
    const answering = await request(this.tree.thread(question.key), this.id, signal, canCompare);
    turn.id = answering.id;
    if (this.id === null && answering.conversation) this.#name(answering.conversation);
    if (canCompare) keepUnsent(this.id, { text: question.content, id: turn.id });
    if (answering.isCompared) this.#beginPair(turn, question);
    this.hooks.changed(this);
    for await (const chunk of answering.chunks) {
      turn.model = chunk.model ?? turn.model;
      const choice = chunk.choices?.[0];
      if (choice?.finish_reason === "length") turn.note = t("chat.length");
      if (!choice?.delta?.content) continue;
      turn.content += choice.delta.content;
      this.hooks.grew(this, turn);
    }
  }

  /** @param {string | null} id */
  #name(id) {
    const unsent = keptUnsent(this.id);
    keepUnsent(this.id, null);
    this.id = id;
    keepUnsent(id, unsent);
    this.hooks.named(this);
  }

  /** @param {Turn} turn @param {Turn} question @param {boolean} wasStopped @param {unknown} error */
  #break(turn, question, wasStopped, error) {
    turn.note = wasStopped ? t(turn.content ? "chat.stopped" : "chat.stopped_early") : explain(error);
    turn.state = wasStopped && turn.content ? "stopped" : "failed";
    if (wasStopped) keepUnsent(this.id, null);
    else this.hooks.failed();
    if (turn.id) this.settling = this.#settle(turn);
  }

  /** Learns what the server kept of an answer that was broken off. @param {Turn} turn */
  async #settle(turn) {
    for (let tries = KEPT_TRIES; tries > 0 && this.id; tries -= 1) {
      const found = await get(`/v1/conversations/${encodeURIComponent(this.id)}`).catch((error) => error);
      const message = found.messages?.find((/** @type {{id: string}} */ one) => one.id === turn.id);
      if (message) {
        turn.content = message.content;
        if (turn.state === "failed") turn.state = "interrupted";
        keepUnsent(this.id, null);
        return this.hooks.changed(this);
      }
      if (tries === 1 && found.code === "not_found") this.#name(null); // the next question begins it again
      await new Promise((resolve) => setTimeout(resolve, KEPT_PAUSE_MS));
    }
  }
}

/** @param {"user" | "assistant"} role @param {string | null} parent @param {string} content @param {Turn["state"]} state @returns {Turn} */
function newTurn(role, parent, content, state) {
  return { key: uuid(), parent, role, content, state, id: null, model: "", at_s: Date.now() / 1000, note: "", opinion: noOpinion() };
}

/** @param {any} message of `GET /v1/conversations/{id}` @returns {Turn} */
function turnOf(message) {
  const state = message.status === "complete" ? "done" : message.status;
  const note = state === "interrupted" ? t("chat.interrupted") : message.finish_reason === "length" ? t("chat.length") : "";
  return {
    key: message.id,
    parent: message.parent_id,
    role: message.role,
    content: message.content,
    state,
    id: message.role === "assistant" ? message.id : null,
    model: message.adapter ? `ratchet@${message.adapter}` : "ratchet",
    at_s: message.created_at_s,
    note,
    opinion: message.feedback ?? noOpinion(),
  };
}
