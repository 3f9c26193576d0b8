// The transcript. Pieces of it that are far from the window are empty boxes of their height, so its length costs nothing.
// An item that cannot be drawn is shown as such, and the rest goes on.

import { announce, asset, Component, Guard, html, icon, isPicture, lasting, lazy, line, link, memo, safeLink, useCell, useEffect, useLayoutEffect, useMemo, useRef, useState, useView, visible } from "./lib.js";
import { editMessage, retry, takeOut } from "./composer.js";
import { world } from "./world.js";

/** @typedef {import("./vendor/skein-client.js").ThreadItem} Item */


const LONGEST = 100_000;
const Markdown = lazy(() => import("./markdown.js"), "Markdown", ({ text }) => html`<p class="said" dir="auto">${text}</p>`);

/** @param {unknown} value */
export function pretty(value) {
  if (value === undefined || value === null) return "";
  return visible(typeof value === "string" ? value : JSON.stringify(value, null, 2));
}

/** @param {{ text: string }} props */
function Output({ text }) {
  const [all, setAll] = useState(false);
  const cut = !all && text.length > LONGEST;
  return html`<pre class="output" dir="auto" tabindex="0">${cut ? text.slice(0, LONGEST) : text}</pre>
    ${cut && html`<button class="plain" onClick=${() => setAll(true)}>Show all ${text.length} characters</button>`}`;
}

/** @param {{ name: string, children?: any, kind: string, busy?: boolean }} props */
function Article({ name, children, kind, busy }) {
  return html`<article class=${`item ${kind}`} aria-label=${name} aria-busy=${busy ? "true" : undefined}>${children}</article>`;
}

/** @param {any} part */
function given(part) {
  if (part.type === "text") return html`<p class="said" dir="auto">${visible(part.text)}</p>`;
  if (part.type === "image" && isPicture(part.url)) return html`<img class="picture" src=${part.url} alt="Picture of yours" />`;
  const at = part.url ?? part.path ?? part.name ?? part.fileId ?? "";
  const safe = part.type === "image" ? safeLink(at) : undefined;
  return html`<p class="said">[${part.type}: ${safe ? link(safe, line(safe, 100)) : line(at, 100)}]</p>`;
}

/** @param {{ item: any, turn: any }} props */
function UserMessage({ item, turn }) {
  return html`<${Article} name="You" kind="you">
    <div class="bubble">${item.content.map(given)}</div>
    ${turn && html`<div class="after"><button class="plain" title="Edit in a copy of this chat" aria-label="Edit in a copy of this chat"
      onClick=${() => editMessage(turn.id, item)}>${icon("edit")}</button></div>`}
  <//>`;
}

/** @param {{ item: any, live: boolean }} props */
function AgentMessage({ item, live }) {
  return html`<${Article} name="Assistant" kind="assistant" busy=${live}>
    <${Markdown} text=${item.text} />${live && html`<span class="caret" aria-hidden="true"></span>`}
  <//>`;
}

/** @param {{ item: any, live: boolean }} props */
function Thoughts({ item, live }) {
  const text = [...(item.summary ?? []), ...(item.content ?? [])].join("\n\n");
  if (text === "") return live ? html`<p class="thinking">Thinking…</p>` : null;
  return html`<details class="item thoughts"><summary>${live ? "Thinking…" : "Thoughts"}</summary>
    <${Markdown} text=${text} /></details>`;
}

/** @param {any} part A piece of a tool's result. */
function piece(part) {
  if (part?.type === "text" || part?.type === "inputText") return html`<${Output} text=${visible(part.text)} />`;
  const address = part?.type === "image" ? `data:${part.mimeType};base64,${part.data}` : part?.imageUrl;
  if (isPicture(address)) return html`<img class="picture" src=${address} alt="Picture of the tool" />`;
  return html`<${Output} text=${pretty(part)} />`;
}

/** @param {any} item */
function outcome(item) {
  if (item.error) return html`<${Output} text=${visible(item.error.message)} />`;
  const parts = item.result?.content ?? item.contentItems ?? [];
  const more = parts.length === 0 ? item.result?.structuredContent : undefined;
  return html`${parts.map(piece)}${more !== undefined && more !== null && html`<${Output} text=${pretty(more)} />`}`;
}

/** @param {any} item @returns {[string, string]} */
function fate(item) {
  const bad = item.status === "failed" || item.success === false || item.status === "declined";
  if (bad) return ["failed", `failed${item.error ? `: ${line(item.error.message, 160)}` : ""}`];
  return item.status === "inProgress" ? ["running", "running…"] : ["went-well", item.durationMs ? lasting(item.durationMs) : "done"];
}

/** @param {{ item: any }} props A call of a tool: one line if it went well. */
function ToolCall({ item }) {
  const [kind, said] = fate(item);
  const name = line(item.tool, 80);
  const from = item.server ?? item.namespace;
  const brief = line(JSON.stringify(item.arguments ?? {}), 90);
  return html`<${Article} name=${`Tool ${name}`} kind=${`tool ${kind}`} busy=${kind === "running"}>
    <details><summary>${icon("tool")}<b>${name}</b>${from && html`<span class="from">${line(from, 40)}</span>`}
      <code class="brief" dir="ltr">${brief === "{}" ? "" : brief}</code><span class="fate">${said}</span></summary>
      <h2>Arguments</h2><${Output} text=${pretty(item.arguments) || "none"} />
      <h2>${item.error ? "Error" : "Result"}</h2>${kind === "running" ? html`<p class="hint">Still running.</p>` : outcome(item)}
    </details>
  <//>`;
}

/** @type {Record<string, (item: any) => [string, string]>} Other items: a title, and what unfolds. */
const OTHERS = {
  plan: (item) => ["Plan", item.text],
  commandExecution: (item) => [`Command ${line(item.command, 80)}`, item.aggregatedOutput ?? ""],
  fileChange: (item) => ["Changed files", item.changes.map((/** @type {any} */ one) => `${one.path}\n${one.diff}`).join("\n")],
  webSearch: (item) => [`Web search ${line(item.query, 80)}`, pretty(item.results)],
  contextCompaction: () => ["The conversation was shortened to a summary for the model", ""],
  functionCallOutput: (item) => [`Output of ${line(item.name, 80)}`, pretty(item.output)],
};

/** @param {{ item: any }} props */
function Other({ item }) {
  const [title, text] = OTHERS[item.type]?.(item) ?? [`An item of type “${line(item.type, 60)}”`, pretty(item)];
  return html`<${Article} name=${title} kind="other">${text ? html`<details><summary>${title}</summary><${Output} text=${visible(text)} /></details>` : html`<p class="hint">${title}</p>`}<//>`;
}

/** @param {{ item: any, turn: any, live: boolean }} props */
function Any({ item, turn, live }) {
  if (item.type === "userMessage") return html`<${UserMessage} item=${item} turn=${turn} />`;
  if (item.type === "agentMessage") return html`<${AgentMessage} item=${item} live=${live} />`;
  if (item.type === "reasoning") return html`<${Thoughts} item=${item} live=${live} />`;
  if (item.type === "mcpToolCall" || item.type === "dynamicToolCall") return html`<${ToolCall} item=${item} />`;
  return html`<${Other} item=${item} />`;
}

const Drawn = memo(Any);

/** @param {any} props An item of the conversation. */
function ItemView(props) {
  const broken = () => html`<${Article} name="Broken item" kind="broken"><p>This item cannot be shown. Its content:</p><${Output} text=${pretty(props.item)} /><//>`;
  return html`<${Guard} instead=${broken}><${Drawn} ...${props} /><//>`;
}

function Welcome() {
  return html`<div class="welcome"><img src=${asset("icon.svg")} alt="" width="56" height="56" /><h1>What shall we work on?</h1>
    <p>Write below. The server asks before its tools change something, and stops all its processes when the last client leaves.</p></div>`;
}

const PIECE = 4;
const GUESS = 110;
const NEAR = "900px 0px";

/** @typedef {{ turn: any, from: number, to: number, last: boolean }} Piece */
/** @typedef {{ key: string, pieces: Piece[], count: number }} Chunk */

/** @param {string} id Whether a new chunk begins with this turn: chosen by its id, so that older turns change nothing. */
function begins(id) {
  let sum = 0;
  for (let at = 0; at < id.length; at++) sum = (sum * 31 + id.charCodeAt(at)) | 0;
  return (sum ^ (sum >>> 7)) % 3 === 0;
}

/**
 * Cuts the turns into chunks of a few items.
 * @param {readonly any[]} turns
 * @returns {Chunk[]}
 */
function chunksOf(turns) {
  /** @type {Chunk[]} */
  const chunks = [];
  /** @type {Chunk | undefined} */
  let open;
  for (const turn of turns) {
    for (let from = 0; from === 0 || from < turn.items.length; from += PIECE) {
      if (open === undefined || open.count >= PIECE || from > 0 || begins(turn.id)) {
        open = { key: `${turn.id}/${from}`, pieces: [], count: 0 };
        chunks.push(open);
      }
      const to = Math.min(from + PIECE, turn.items.length);
      open.pieces.push({ turn, from, to, last: to >= turn.items.length });
      open.count += to - from;
    }
  }
  return chunks;
}

/** @param {Chunk} one @param {Chunk} other */
function same(one, other) {
  if (one.pieces.length !== other.pieces.length) return false;
  return one.pieces.every((piece, at) => piece.turn === other.pieces[at]?.turn && piece.to === other.pieces[at]?.to);
}

/** Chunks that come near are drawn one a frame, so that scrolling stays smooth. */
const waiting = /** @type {Set<any>} */ (new Set());
let due = 0;
function drawNext() {
  due = 0;
  const [next] = waiting;
  if (next === undefined) return;
  waiting.delete(next);
  next.setState({ near: true });
  if (waiting.size > 0) due = requestAnimationFrame(drawNext);
}

/** @type {WeakMap<Element, any>} */
const shown = new WeakMap();
/** @type {Map<string, number>} Heights of chunks that were drawn, by key. */
const heights = new Map();

/** @param {Element} root */
function observerOf(root) {
  return new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const chunk = shown.get(entry.target);
      if (chunk === undefined) continue;
      if (entry.isIntersecting) {
        if (!chunk.state.near) waiting.add(chunk);
      } else {
        waiting.delete(chunk);
        if (chunk.state.near) chunk.fold(entry.boundingClientRect.height);
      }
    }
    if (waiting.size > 0) due ||= requestAnimationFrame(drawNext);
  }, { root, rootMargin: NEAR });
}

/** A chunk: its items, or an empty box. */
class ChunkView extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    /** @type {any} */ (this).state = { near: props.near };
  }
  /** @param {any} next @param {any} state */
  shouldComponentUpdate(next, state) {
    const { props, state: now } = /** @type {any} */ (this);
    return state.near !== now.near || next.live !== props.live || (state.near && !same(next.chunk, props.chunk));
  }
  /** @param {number} height */
  fold(height) {
    const { props } = /** @type {any} */ (this);
    if (props.live) return;
    heights.set(props.chunk.key, height);
    /** @type {any} */ (this).setState({ near: false });
  }
  componentDidMount() {
    const { props, base } = /** @type {any} */ (this);
    shown.set(base, this);
    props.observer.observe(base);
  }
  componentWillUnmount() {
    const { props, base } = /** @type {any} */ (this);
    waiting.delete(this);
    props.observer.unobserve(base);
  }
  /** @param {any} props @param {any} state */
  render({ chunk, live }, { near }) {
    if (near) return html`<div class="chunk">${chunk.pieces.map((/** @type {Piece} */ piece, /** @type {number} */ at) => html`<${PieceView} key=${piece.turn.id} piece=${piece} live=${live && at === chunk.pieces.length - 1} />`)}</div>`;
    const height = heights.get(chunk.key) ?? chunk.count * GUESS;
    return html`<div class="chunk far" ref=${(/** @type {any} */ box) => box?.style.setProperty("--tall", `${height}px`)}></div>`;
  }
}

/** @param {{ piece: Piece, live: boolean }} props */
function PieceView({ piece, live }) {
  const { turn, from, to, last } = piece;
  const running = turn.status === "inProgress";
  return html`${turn.items.slice(from, to).map((/** @type {any} */ item) => html`<${ItemView} key=${item.id} item=${item} turn=${turn} live=${running && item.completedAtMs === null} />`)}
    ${last && html`<${TurnEnd} turn=${turn} live=${live} />`}`;
}

/** @param {{ turn: any, live: boolean }} props */
function TurnEnd({ turn, live }) {
  if (turn.status === "inProgress") {
    const quiet = turn.items.every((/** @type {any} */ item) => item.type === "userMessage");
    return quiet ? html`<p class="thinking" aria-hidden="true"><span></span><span></span><span></span></p>` : null;
  }
  if (turn.status !== "failed" && turn.status !== "interrupted") return null;
  const said = turn.status === "interrupted" ? "Stopped." : "The turn failed.";
  return html`<div class=${`turn-end ${turn.status}`} role=${turn.status === "failed" && live ? "alert" : undefined}>
    <p dir="auto">${said} ${turn.error ? line(turn.error.message, 2000) : ""}${turn.error?.additionalDetails ? ` ${line(turn.error.additionalDetails, 1000)}` : ""}</p>
    ${live && html`<button onClick=${() => retry(turn)}>${icon("again")}Try again</button>`}
  </div>`;
}

/**
 * Keeps the newest text in sight, unless the user has scrolled up.
 * @param {any} scroller
 * @param {any} view
 */
function useStick(scroller, view) {
  const stick = useRef(true);
  const [away, setAway] = useState(false);
  const toEnd = () => {
    stick.current = true;
    setAway(false);
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  };
  useLayoutEffect(() => {
    if (stick.current) toEnd();
  }, [view]);
  useEffect(() => {
    const box = scroller.current;
    if (box === null) return undefined;
    let size = "";
    let hand = 0;
    const onHand = () => void (hand = performance.now());
    const hands = ["wheel", "touchmove", "pointerdown", "keydown"];
    for (const kind of hands) box.addEventListener(kind, onHand, { passive: true });
    const onScroll = () => {
      // A scroll that comes with a change of size is the browser's, not the user's.
      const before = size;
      size = `${box.scrollHeight} ${box.clientHeight} ${box.clientWidth}`;
      if (stick.current && size !== before && performance.now() - hand > 400) return toEnd();
      stick.current = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
      setAway(!stick.current && box.scrollHeight - box.scrollTop - box.clientHeight > 400);
    };
    const watcher = new ResizeObserver(() => stick.current && toEnd());
    watcher.observe(box);
    for (const child of box.children) watcher.observe(child);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => (watcher.disconnect(), box.removeEventListener("scroll", onScroll));
  }, []);
  return { away, toEnd };
}

/** @param {{ chat: any, view: any, scroller: any }} props Reads older turns when the top comes near. */
function Older({ chat, view, scroller }) {
  const [busy, setBusy] = useState(false);
  const top = useRef(/** @type {Element | null} */ (null));
  const read = async () => {
    if (busy) return;
    setBusy(true);
    const box = scroller.current;
    if (box.scrollTop < 2) box.scrollTop = 2;
    await chat.history(2).catch(() => {});
    setBusy(false);
  };
  useEffect(() => {
    if (top.current === null) return undefined;
    const watcher = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && void read(), { root: scroller.current, rootMargin: "1200px 0px" });
    watcher.observe(top.current);
    return () => watcher.disconnect();
  }, [view.turns.length, busy]);
  if (view.older === undefined) return null;
  return html`<div ref=${top} class="older">${busy ? "Reading older messages…" : html`<button class="plain" onClick=${read}>Older messages</button>`}</div>`;
}

/** @param {{ chat: any, view: any }} props Messages that the server does not have yet. */
function Unsent({ chat, view }) {
  return view.unsent.map((/** @type {any} */ one) => html`<article key=${one.id} class="item you waiting" aria-label="You">
    <div class="bubble">${one.input.map(given)}</div>
    ${one.error ? html`<p class="fault">${line(one.error.message, 400)} <button onClick=${() => takeOut(chat, one)}>Edit</button></p>`
      : html`<p class="hint">${view.link.state === "live" ? "Sending…" : "This message is sent when the connection is back."}</p>`}</article>`);
}

/** @param {{ chat: any }} props */
export function Conversation({ chat }) {
  const view = useView(chat);
  const scroller = useRef(/** @type {any} */ (null));
  const [observer, setObserver] = useState(/** @type {any} */ (undefined));
  const { away, toEnd } = useStick(scroller, view);
  const chunks = useMemo(() => chunksOf(view.turns), [view.turns]);
  useLayoutEffect(() => {
    const made = observerOf(scroller.current);
    setObserver(made);
    return () => made.disconnect();
  }, []);
  useEffect(() => announce(view), [view]);
  const empty = view.turns.length === 0 && view.unsent.length === 0;
  const asked = useCell(world.route);
  return html`<div class="scroller" ref=${scroller} tabindex="0" role="log" aria-label="Conversation" aria-live="off"><div class="transcript">
      ${observer && html`<${Older} chat=${chat} view=${view} scroller=${scroller} />`}
      ${empty && (asked === undefined ? html`<${Welcome} />` : !view.error && !view.deleted && html`<p class="hint center">${view.at === undefined ? "Loading the conversation…" : "No messages yet."}</p>`)}
      ${observer && chunks.map((chunk, at) => html`<${ChunkView} key=${chunk.key} chunk=${chunk} observer=${observer} live=${at >= chunks.length - 1} near=${at >= chunks.length - 3} />`)}
      <${Unsent} chat=${chat} view=${view} />
    </div></div>
    ${away && html`<button class="to-end" onClick=${toEnd}>${icon("down")}Newest</button>`}`;
}
