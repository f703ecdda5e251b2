// @ts-check
// Two answers to one question, side by side, and the question which of them is better.

import { explain } from "/web/shared/api.js";
import { copyOf, part } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";
import { toast } from "/web/shared/dialog.js";
import { answerView } from "./answer.js";
import { postFeedback } from "./feedback.js";

/** @param {import("./talk.js").Talk} talk @param {import("./answer.js").Actions} actions @returns {import("./answer.js").View} */
export function pairView(talk, actions) {
  const element = copyOf("pair-template");
  const pair = /** @type {import("./talk.js").Pair} */ (talk.pair);
  const turns = [pair.first, pair.second].map((key) => /** @type {import("./tree.js").Turn} */ (talk.tree.get(key)));
  const views = turns.map((turn) => answerView(turn, actions));
  element.querySelectorAll(".side").forEach((side, place) => side.append(views[place].element));
  part(element, "prefer-first").onclick = () => prefer(0);
  part(element, "prefer-second").onclick = () => prefer(1);
  part(element, "prefer-neither").onclick = () => talk.settle(turns[0].key);

  /** @param {number} place */
  async function prefer(place) {
    const [better, other] = [turns[place], turns[1 - place]];
    const trouble = part(element, "pair-trouble");
    trouble.hidden = true;
    try {
      await postFeedback(better.id ?? "", { preferred_over: other.id });
    } catch (error) {
      trouble.textContent = t("chat.not_saved", { why: explain(error) });
      trouble.hidden = false;
      return;
    }
    better.opinion.preferred_over = other.id;
    talk.settle(better.key);
    toast(t("chat.pair.thanks"), () => void takeBack(better));
  }

  return {
    element,
    update() {
      for (const view of views) view.update(talk);
      part(element, "choice").hidden = !pair.canChoose;
    },
    grew() {
      for (const view of views) view.grew();
    },
  };
}

/** @param {import("./tree.js").Turn} turn */
async function takeBack(turn) {
  try {
    await postFeedback(turn.id ?? "", { preferred_over: null });
    turn.opinion.preferred_over = null;
  } catch (error) {
    toast(t("chat.not_saved", { why: explain(error) }));
  }
}
