// @ts-check
// What moves people's traffic: it is asked once, done, told, and can be taken back while that is told.

import { guarded } from "/web/console/frame.js";
import { post } from "/web/shared/api.js";
import { ask, toast } from "/web/shared/dialog.js";
import { t } from "/web/shared/i18n.js";

/**
 * @typedef {{path: string, body?: unknown}} Order what is posted
 * @typedef {{name: string, places?: Record<string, unknown>, danger?: boolean, withReason?: boolean, order: Order, undo?: Order | Order[]}} Move
 *   `name` has the messages `traffic.NAME`, `traffic.title.NAME`, `traffic.text.NAME` and `traffic.done.NAME`; `undo` is what takes it back, where anything does;
 *   an order `withReason` is posted with the reason that the operator types
 */

/** @param {Element} place in whose section it is told what went wrong @param {Move} move @param {() => unknown} after */
export async function makeMove(place, move, after) {
  const section = sectionOf(place); // now, as the place may be another one once the question is answered
  const field = move.withReason ? { label: t("traffic.reason"), required: true, multiline: true } : undefined;
  const answer = await ask({
    title: t(`traffic.title.${move.name}`, move.places),
    text: t(`traffic.text.${move.name}`, move.places),
    confirm: t(`traffic.${move.name}`),
    danger: move.danger,
    field,
  });
  if (answer === null) return;
  await guarded(section, async () => {
    await post(move.order.path, move.withReason ? { reason: answer } : move.order.body);
    const { undo } = move;
    toast(t(`traffic.done.${move.name}`, move.places), undo && (() => takeBack(section, [undo].flat(), after)));
    await after();
  });
}

/** @param {Element} section @param {Order[]} undo @param {() => unknown} after */
async function takeBack(section, undo, after) {
  await guarded(section, async () => {
    for (const { path, body } of undo) await post(path, body);
    toast(t("traffic.undone"));
    await after();
  });
}

/** What is told stays there when the place is filled anew. @param {Element} place @returns {Element} */
export function sectionOf(place) {
  return place.closest("section") ?? place;
}

/** The order that puts a version live which was so before. @param {string} to @returns {Order} */
export function liveAgain(to) {
  return { path: "/api/adapters/rollback", body: { to } };
}
