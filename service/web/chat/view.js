// @ts-check
// The shown path as elements: those that stand and belong there stay as they are.

import { arrange, byId } from "/web/shared/dom.js";
import { answerView } from "./answer.js";
import { pairView } from "./pair.js";
import { questionView } from "./question.js";
import { followed } from "./scroll.js";
import { focusSiblings } from "./siblings.js";

/**
 * @typedef {import("./talk.js").Talk} Talk
 * @typedef {import("./tree.js").Turn} Turn
 * @typedef {import("./answer.js").View} View
 */

/** @type {Map<string, View>} what stands, by the keys of its turns, in order */
let standing = new Map();
/** @type {Talk | null} */
let shown = null;

/** @type {import("./answer.js").Actions} */
const actions = {
  again: (turn) => void shown?.again(turn),
  edited: (turn, text) => void shown?.ask(text, turn.parent),
  turned(turn, step) {
    const key = shown?.turnTo(turn.key, step);
    const view = key === undefined ? undefined : standing.get(key);
    if (view) focusSiblings(view.element, step);
  },
};

/** Shows the path of a conversation, whole or as it has changed. @param {Talk} talk */
export function showTalk(talk) {
  const others = talk === shown ? standing : new Map();
  shown = talk;
  const wanted = new Map(talk.tree.path().map((turn) => {
    const key = talk.pair?.first === turn.key ? `pair ${turn.key}` : turn.key;
    return [key, others.get(key) ?? viewOf(talk, turn)];
  }));
  followed(() => {
    arrange(byId("turns"), [...wanted.values()].map((view) => view.element));
    standing = wanted;
    for (const view of wanted.values()) view.update(talk);
  });
  byId("welcome").hidden = wanted.size > 0;
}

/** More words have come. @param {Talk} talk @param {Turn} turn */
export function showMore(talk, turn) {
  if (talk !== shown) return;
  const pair = talk.pair && `pair ${talk.pair.first}`;
  (standing.get(turn.key) ?? standing.get(pair ?? ""))?.grew();
}

/** @param {Talk} talk @param {Turn} turn @returns {View} */
function viewOf(talk, turn) {
  if (talk.pair?.first === turn.key) return pairView(talk, actions);
  return turn.role === "assistant" ? answerView(turn, actions) : questionView(turn, actions);
}
