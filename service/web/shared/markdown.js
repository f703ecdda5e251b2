// @ts-check
// Markdown as elements, while it is still being written: blocks that stand are left alone, only what changed is made anew.
// Nothing in it reaches the page unsanitised, and nothing in it makes the browser ask anybody for anything.

import { copy } from "/web/shared/copy.js";
import { el } from "/web/shared/dom.js";
import { t } from "/web/shared/i18n.js";
import { Marked } from "/web/vendor/marked.js";
import DOMPurify from "/web/vendor/purify.js";

/** @typedef {import("/web/vendor/marked.js").Token} Token */
/** @typedef {{type: string, raw: string, lang: string, nodes: ChildNode[]}} Block what stands of one piece of the source */

const COPIED_MS = 2000;
const ALLOWED = {
  ALLOWED_TAGS: ["p", "br", "hr", "h2", "h3", "h4", "h5", "h6", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a",
    "table", "thead", "tbody", "tr", "th", "td", "input", "span"],
  ALLOWED_ATTR: ["href", "title", "class", "start", "align", "type", "checked", "disabled"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ["start", "align", "type", "checked", "disabled"],
};

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escape(text), // tags that somebody wrote are shown, not obeyed
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`, // loading it would tell others who reads
    heading({ tokens, depth }) { // the page has its own first heading
      const tag = `h${Math.min(depth + 2, 6)}`;
      return `<${tag}>${this.parser.parseInline(tokens)}</${tag}>`;
    },
  },
});

/** @param {string} text */
function escape(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** A text in an element, that may grow. */
export class Rendered {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    /** @type {Block[]} */
    this.blocks = [];
    this.text = "";
  }

  /** Shows the text in place of what was there. @param {string} text */
  show(text) {
    if (text === this.text) return;
    this.text = text;
    const tokens = marked.lexer(text).filter((token) => token.type !== "space" && token.type !== "def");
    let kept = 0;
    while (kept < this.blocks.length && kept < tokens.length && this.blocks[kept].raw === tokens[kept].raw) kept += 1;
    if (grow(this.blocks[kept], tokens[kept])) kept += 1;
    for (const block of this.blocks.splice(kept)) for (const node of block.nodes) node.remove();
    for (const token of tokens.slice(kept)) this.blocks.push(this.#add(token));
  }

  /** Colours the code in it; to be called once the text is whole. */
  async finish() {
    const codes = [...this.place.querySelectorAll("pre > code[class*='language-']")];
    if (!codes.length) return;
    // @ts-ignore: it comes without types
    const { default: highlighter } = await import("/web/vendor/highlight.js");
    for (const code of codes) {
      const name = languageOf(code);
      if (code.querySelector("span") || !highlighter.getLanguage(name)) continue;
      code.replaceChildren(clean(highlighter.highlight(code.textContent ?? "", { language: name }).value));
    }
  }

  /** @param {Token} token @returns {Block} */
  #add(token) {
    const fragment = clean(marked.parser([token]));
    decorate(fragment);
    const nodes = [...fragment.childNodes];
    this.place.append(fragment);
    return { type: token.type, raw: token.raw, lang: "lang" in token ? token.lang ?? "" : "", nodes };
  }
}

/** Whether the token is the block's code gone on; then the block is that. @param {Block | undefined} block @param {Token | undefined} token */
function grow(block, token) {
  if (block?.type !== "code" || token?.type !== "code" || block.lang !== (token.lang ?? "")) return false;
  const code = block.nodes.find((node) => node instanceof HTMLElement)?.querySelector("code");
  if (!code) return false;
  code.textContent = `${token.text}\n`;
  block.raw = token.raw;
  return true;
}

/** @param {string} html @returns {DocumentFragment} */
function clean(html) {
  return DOMPurify.sanitize(html, { ...ALLOWED, RETURN_DOM_FRAGMENT: true });
}

/** @param {DocumentFragment} fragment */
function decorate(fragment) {
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const box of fragment.querySelectorAll("input")) box.setAttribute("aria-label", t("base.task"));
  for (const table of fragment.querySelectorAll("table")) {
    const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("base.table") });
    table.replaceWith(scroll);
    scroll.append(table);
  }
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(framed(pre));
}

/** A code block with its language and a button to copy it. @param {HTMLPreElement} pre */
function framed(pre) {
  const code = /** @type {HTMLElement} */ (pre.querySelector("code"));
  pre.tabIndex = 0; // it may scroll
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", t("base.code"));
  const button = el("button", { type: "button", class: "quiet", "data-testid": "copy-code" }, t("base.copy"));
  button.addEventListener("click", () => void copied(button, code.textContent ?? ""));
  const bar = el("div", { class: "code-bar" }, el("span", {}, languageOf(code)), button);
  const frame = el("div", { class: "code" }, bar);
  frame.append(pre.cloneNode(false));
  frame.lastChild.append(code);
  return frame;
}

/** @param {Element} code */
function languageOf(code) {
  return [...code.classList].find((name) => name.startsWith("language-"))?.slice("language-".length) ?? "";
}

/** Copies, and says so on the button for a moment. @param {HTMLElement} button @param {string} text */
async function copied(button, text) {
  if (!(await copy(text))) return;
  button.textContent = t("base.copied");
  setTimeout(() => { button.textContent = t("base.copy"); }, COPIED_MS);
}
