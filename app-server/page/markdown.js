// Markdown becomes elements of a fixed list. No text is ever read as HTML, and no picture of the network is loaded.

import { Component, decoded, Guard, html, icon, isPicture, line, link, memo, safeLink, useCopy, useEffect, useState, visible } from "./lib.js";
import { Lexer } from "./vendor/marked.js";

/** @typedef {any} Token */

const LONGEST_TEXT = 200_000;
const LONGEST_LINE = 20_000;
const DEEPEST = 16;
const NESTED = /^[ \t]*(?:>[ \t]?|(?:[-*+]|\d{1,9}[.)])[ \t]+){20}|[[(*_~<`!]{100}/m;

/** @param {string} text */
function tooMuch(text) {
  if (text.length > LONGEST_TEXT || NESTED.test(text)) return true;
  for (let at = 0; at >= 0 && at < text.length; ) {
    const end = text.indexOf("\n", at);
    if ((end < 0 ? text.length : end) - at > LONGEST_LINE) return true;
    at = end < 0 ? -1 : end + 1;
  }
  // Indentation that grows without end nests lists as deep.
  return /^[ \t]{120}[ \t]*(?:[-*+>]|\d{1,9}[.)])/m.test(text);
}

/** @param {Token} token */
function picture(token) {
  if (isPicture(token.href)) return html`<img class="picture" src=${token.href} alt=${line(token.text || "picture", 300)} />`;
  const safe = safeLink(token.href);
  const said = line(token.text || "no title", 200);
  if (safe === undefined) return html`<span class="blocked">[picture: ${said}]</span>`;
  return link(safe, `[picture: ${said}, ${line(new URL(safe).host, 80)}]`);
}

/** @param {Token} token @param {number} depth @returns {any} */
function anchor(token, depth) {
  const safe = safeLink(token.href);
  const content = inline(token.tokens ?? [], depth);
  if (safe !== undefined) return link(safe, content);
  const said = line(token.href, 200);
  return said === token.text ? said : html`${content} <span class="blocked">(${said})</span>`;
}

/** @param {string} text Marks that turn the direction of text around are shown; those inside of emoji are not. */
function straight(text) {
  return text.replace(/[\u202A-\u202E\u2066-\u2069]/g, visible);
}

/** @type {Record<string, (token: Token, depth: number) => any>} */
const INLINE = {
  escape: (token) => straight(token.text),
  text: (token, depth) => (token.tokens ? inline(token.tokens, depth) : straight(decoded(token.text))),
  html: (token) => straight(token.raw),
  strong: (token, depth) => html`<strong>${inline(token.tokens, depth)}</strong>`,
  em: (token, depth) => html`<em>${inline(token.tokens, depth)}</em>`,
  del: (token, depth) => html`<del>${inline(token.tokens, depth)}</del>`,
  codespan: (token) => html`<code>${visible(token.text)}</code>`,
  br: () => html`<br />`,
  link: anchor,
  image: picture,
};

/** @param {Token[]} tokens @param {number} depth @returns {any} */
function inline(tokens, depth) {
  return tokens.map((token) => {
    const draw = INLINE[token.type];
    return draw === undefined || depth > DEEPEST ? token.raw : draw(token, depth + 1);
  });
}

/** @param {Token} token @param {number} depth */
function list(token, depth) {
  const rows = token.items.map((/** @type {Token} */ item) => html`<li dir="auto">${item.task && html`<input type="checkbox" disabled checked=${item.checked} aria-label=${item.checked ? "done" : "open"} /> `}
    ${blocks(item.tokens.filter((/** @type {Token} */ one) => one.type !== "checkbox"), depth)}</li>`);
  return token.ordered ? html`<ol start=${token.start === "" ? 1 : token.start}>${rows}</ol>` : html`<ul>${rows}</ul>`;
}

/** @param {Token} token @param {number} depth */
function table(token, depth) {
  const cell = (/** @type {string} */ kind) => (/** @type {Token} */ one) => html`<${kind} dir="auto" class=${one.align ? `to-${one.align}` : ""}>${inline(one.tokens, depth)}<//>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>
    <thead><tr>${token.header.map(cell("th"))}</tr></thead>
    <tbody>${token.rows.map((/** @type {Token[]} */ row) => html`<tr>${row.map(cell("td"))}</tr>`)}</tbody></table></div>`;
}

/** @type {Record<string, (token: Token, depth: number) => any>} */
const BLOCK = {
  space: () => null,
  def: () => null,
  hr: () => html`<hr />`,
  heading: (token, depth) => html`<h2 class=${`level-${token.depth}`} dir="auto">${inline(token.tokens, depth)}</h2>`,
  paragraph: (token, depth) => html`<p dir="auto">${inline(token.tokens, depth)}</p>`,
  text: (token, depth) => (token.tokens ? html`<span>${inline(token.tokens, depth)}</span>` : decoded(token.text)),
  blockquote: (token, depth) => html`<blockquote dir="auto">${blocks(token.tokens, depth)}</blockquote>`,
  code: (token) => html`<${Code} text=${token.text} language=${token.lang ?? ""} />`,
  html: (token) => html`<p dir="auto" class="raw">${token.raw}</p>`,
  list,
  table,
};

/** @param {Token[]} tokens @param {number} depth @returns {any} */
function blocks(tokens, depth) {
  return tokens.map((token) => {
    const draw = BLOCK[token.type] ?? INLINE[token.type];
    return draw === undefined || depth > DEEPEST ? html`<pre>${token.raw}</pre>` : draw(token, depth + 1);
  });
}

/** One block; it is drawn again only if its text changes. */
class Block extends Component {
  /** @param {any} next */
  shouldComponentUpdate(next) {
    const { token } = /** @type {any} */ (this).props;
    return next.token !== token && (next.token.raw !== token.raw || next.token.type !== token.type);
  }
  /** @param {any} props */
  render({ token }) {
    return blocks([token], 0);
  }
}

/** @typedef {{ text: string, tokens: Token[] }} Read */

/**
 * The tokens of a text. A text that has grown keeps those of its beginning, except for the last two blocks, which the
 * new text may change.
 * @param {string} text
 * @param {Read | undefined} before
 * @returns {Read | undefined}
 */
function read(text, before) {
  if (tooMuch(text)) return undefined;
  /** @type {Token[]} */
  let kept = [];
  let at = 0;
  if (before !== undefined && text.startsWith(before.text) && !/^ {0,3}\[[^\]]+\]:/m.test(text)) {
    kept = before.tokens.slice(0, -2);
    at = kept.reduce((sum, token) => sum + token.raw.length, 0);
    if (kept.map((token) => token.raw).join("") !== text.slice(0, at)) [kept, at] = [[], 0];
  }
  try {
    return { text, tokens: [...kept, ...Lexer.lex(text.slice(at), { gfm: true })] };
  } catch {
    return undefined;
  }
}

/** A text in Markdown. A text that takes long to draw is drawn less often while it grows. */
export class Markdown extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    /** @type {Read | undefined} */
    this.before = undefined;
    this.next = 0;
    this.due = 0;
  }
  /** @param {any} next */
  shouldComponentUpdate(next) {
    if (next.text === /** @type {any} */ (this).props.text) return this.due === -1;
    const wait = this.next - performance.now();
    if (wait <= 0) return true;
    if (this.due <= 0) this.due = window.setTimeout(() => ((this.due = -1), /** @type {any} */ (this).setState({})), wait);
    return false;
  }
  componentWillUnmount() {
    clearTimeout(this.due);
  }
  /** @param {{ text: string }} props */
  render({ text }) {
    const start = performance.now();
    this.due = 0;
    this.before = read(text, this.before);
    this.next = performance.now() + 4 * (performance.now() - start);
    if (this.before === undefined) return html`<pre class="plain-text" dir="auto">${text}</pre>`;
    return html`<div class="markdown">${this.before.tokens.map((token, at) => html`<${Guard} key=${at} instead=${() => html`<pre>${token.raw}</pre>`}><${Block} token=${token} /><//>`)}</div>`;
  }
}

/** @type {typeof import("./highlight.js").highlight | undefined} */
let highlight;
const LONGEST = 40_000;

export const Code = memo(({ text, language }) => {
  const [, again] = useState(0);
  const [copied, press] = useCopy(text);
  useEffect(() => {
    if (highlight === undefined) {
      import("./highlight.js").then((found) => {
        highlight = found.highlight;
        again(1);
      }, () => {});
    }
  }, []);
  const word = line(String(language).split(/\s/)[0] ?? "", 24);
  const parts = highlight && text.length <= LONGEST ? highlight(text, word.toLowerCase()) : [{ text, kind: "" }];
  return html`<figure class="code"><figcaption><span>${word || "text"}</span>
    <button class="plain" onClick=${press} aria-label="Copy code">${icon(copied ? "ok" : "copy")}${copied ? "Copied" : "Copy"}</button></figcaption>
    <pre dir="ltr" tabindex="0"><code>${parts.map((part) => (part.kind ? html`<span class=${part.kind}>${part.text}</span>` : part.text))}</code></pre></figure>`;
});
