// @ts-check
// Elements found and made. Text is always put in as text, so that nothing anybody wrote can become markup.

/** @typedef {string | number | Node | null | undefined | false | any[]} Child arrays of them too, which JSDoc cannot say of itself */

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** The part of `root` that a `data-testid` names. @param {ParentNode} root @param {string} testid @returns {any} */
export function part(root, testid) {
  return root.querySelector(`[data-testid="${testid}"]`);
}

/**
 * An element. Attributes that are false, null or undefined are left out; functions are listeners (`onclick`).
 * @param {string} tag @param {Record<string, unknown>} [attributes] @param {...Child} children @returns {any}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), /** @type {EventListener} */ (value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** @param {ParentNode & Node} parent @param {Child[]} children */
function append(parent, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(parent, child);
    else parent.append(child instanceof Node ? child : String(child));
  }
}

/** Puts children in place of what an element had. @param {Element} parent @param {...Child} children */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** As `fill`; whoever stood on a control there stands on the same one after, which its `data-testid` names. @param {Element} parent @param {...Child} children */
export function refill(parent, ...children) {
  const stood = parent.contains(document.activeElement) ? document.activeElement?.getAttribute("data-testid") : null;
  fill(parent, ...children);
  if (stood) part(parent, stood)?.focus({ preventScroll: true });
}

/** Makes these the children of an element; those that are in their places are not touched. @param {Element} parent @param {Element[]} elements */
export function arrange(parent, elements) {
  elements.forEach((element, place) => {
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place] ?? null);
  });
  while (parent.children.length > elements.length) parent.lastElementChild?.remove();
}

/** A copy of a `<template>`'s only element. @param {string} id @returns {HTMLElement} */
export function copyOf(id) {
  const source = /** @type {HTMLTemplateElement} */ (byId(id)).content.firstElementChild;
  return /** @type {HTMLElement} */ (source?.cloneNode(true));
}

/** `crypto.randomUUID` exists on https and localhost only; this service may be reached by plain http. @returns {string} */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
