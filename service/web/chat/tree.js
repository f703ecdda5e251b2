// @ts-check
// A conversation with all its branches, and the one path through it that is shown. It knows nothing of pages and servers.

/**
 * @typedef {"streaming" | "done" | "stopped" | "interrupted" | "failed" | "deleted" | "client"} State
 *   of an answer: `stopped` by this reader just now, `interrupted` at some time by whatever, `failed` where nothing is kept of it,
 *   `client` where no version is known to have said it
 * @typedef {{thumb: "up" | "down" | null, reasons: string[], comment: string | null, correction: string | null,
 *   preferred_over: string | null}} Opinion
 * @typedef {{key: string, parent: string | null, role: "system" | "user" | "assistant", content: string, state: State,
 *   id: string | null, model: string, at_s: number, note: string, opinion: Opinion}} Turn
 *   `key` names it here for good; `id` is the server's, null until it is known
 */

/** @returns {Opinion} */
export function noOpinion() {
  return { thumb: null, reasons: [], comment: null, correction: null, preferred_over: null };
}

const ANSWERED = new Set(["done", "stopped", "interrupted", "deleted", "client"]);

/** Turns by their keys. The shown path goes from the root through the chosen child of each turn, the newest where none was. */
export class Tree {
  /** @param {Turn[]} [turns] parents before their children; the path leads to the newest */
  constructor(turns = []) {
    /** @type {Map<string, Turn>} */
    this.turns = new Map();
    /** @type {Map<string | null, string[]>} */
    this.children = new Map();
    /** @type {Map<string | null, string>} */
    this.chosen = new Map();
    for (const turn of turns) this.add(turn);
    const newest = turns.reduce((/** @type {Turn | null} */ best, turn) => (best && best.at_s > turn.at_s ? best : turn), null);
    if (newest) this.select(newest.key);
  }

  /** @param {string} key @returns {Turn | undefined} */
  get(key) {
    return this.turns.get(key);
  }

  /** @param {Turn} turn @returns {Turn} */
  add(turn) {
    this.turns.set(turn.key, turn);
    this.children.set(turn.parent, [...(this.children.get(turn.parent) ?? []), turn.key]);
    return turn;
  }

  /** Takes away a turn that nothing follows. @param {string} key */
  remove(key) {
    const turn = this.turns.get(key);
    if (!turn || this.children.get(key)?.length) return;
    this.turns.delete(key);
    this.children.set(turn.parent, this.siblings(key).filter((other) => other !== key));
    if (this.chosen.get(turn.parent) === key) this.chosen.delete(turn.parent);
  }

  /** Leads the path through a turn. @param {string} key */
  select(key) {
    for (let turn = this.turns.get(key); turn; turn = turn.parent === null ? undefined : this.turns.get(turn.parent)) {
      this.chosen.set(turn.parent, turn.key);
    }
  }

  /** The keys of those that could stand in a turn's place, itself among them, by age. @param {string} key @returns {string[]} */
  siblings(key) {
    return this.children.get(this.turns.get(key)?.parent ?? null) ?? [];
  }

  /** The turn below this one that says the same, as the server finds it. @param {string | null} parent @param {Turn["role"]} role @param {string} content */
  find(parent, role, content) {
    const below = (this.children.get(parent) ?? []).map((key) => this.turns.get(key));
    return below.find((turn) => turn?.role === role && turn.content === content);
  }

  /** @returns {Turn[]} the turns shown, from the first on */
  path() {
    const path = [];
    for (let turn = this.#below(null); turn; turn = this.#below(turn.key)) path.push(turn);
    return path;
  }

  /** The last turn of the path that a question can follow: an answer of which something is kept. @returns {string | null} */
  tip() {
    const last = this.path().findLast((turn) => turn.role === "system" || (turn.role === "assistant" && ANSWERED.has(turn.state)));
    return last?.key ?? null;
  }

  /** What was said up to a turn and with it, as a request says it. @param {string} key @returns {{role: string, content: string}[]} */
  thread(key) {
    const said = [];
    for (let turn = this.turns.get(key); turn; turn = turn.parent === null ? undefined : this.turns.get(turn.parent)) {
      said.unshift({ role: turn.role, content: turn.content });
    }
    return said;
  }

  /** @param {string | null} parent */
  #below(parent) {
    const keys = this.children.get(parent) ?? [];
    return this.turns.get(this.chosen.get(parent) ?? keys[keys.length - 1] ?? "");
  }
}
