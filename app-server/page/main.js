// The start of the page and its layout: threads on the left, the conversation in the middle, details on the right.

import { ticket } from "./ticket.js";
import { connect, memory, webStorage } from "./vendor/skein-client.js";
import { ago, asset, Guard, html, icon, isField, lazy, line, memo, render, useCell, useEffect, useMemo, useRef, useState, useView, words } from "./lib.js";
import { Questions, Status, Troubles } from "./above.js";
import { Conversation } from "./chat.js";
import { Composer, EchoLine, learnProviders, ModelName, Queue } from "./composer.js";
import { addressOf, attempt, collect, followThreads, fromAddress, go, isNarrow, learnServer, nameOf, notify, open, panel, remove, scopeOf, server, shelve, stateOf, storedSession, takeBack, trade, world } from "./world.js";

/** @typedef {import("./vendor/skein-client.js").Row} Row */

/** @type {Record<string, string>} The word of a state, whose name is the class of its dot. */
const STATES = { asks: "needs you", works: "working", failed: "failed", unread: "done, unread" };

/** @param {Row} row */
function kindOf(row) {
  const state = stateOf(row);
  if (state !== "quiet") return state;
  return row.status?.type === "systemError" ? "failed" : row.readState?.firstUnread ? "unread" : "";
}

/**
 * The thread in sight is read.
 * @param {Row | undefined} row
 */
function markRead(row) {
  const state = row?.readState;
  if (!row || !state?.firstUnread || document.visibilityState !== "visible" || row.status.type === "active") return;
  const params = { threadId: row.id, expectedRevision: state.revision, operation: { type: /** @type {const} */ ("read") } };
  // Another tab may have been first.
  server().call("thread/readState/update", params).catch(() => {});
}

/** The navigation. */
function Threads() {
  const [archived, setArchived] = useState(false);
  const [text, setText] = useState("");
  const skein = useCell(world.skein);
  const list = useMemo(() => skein?.threads({ archived, search: text }), [skein, archived]);
  useEffect(() => () => list?.close(), [list]);
  useEffect(() => {
    const timer = setTimeout(() => list?.search(text.trim()), 150);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<nav class="left" aria-label="Threads">
    <div class="brand"><img src=${asset("icon.svg")} alt="" width="24" height="24" /><b>Skein</b>
      <button class="plain narrow-only" aria-label="Close threads" onClick=${() => panel({ left: false })}>${icon("close")}</button></div>
    <button class="new" onClick=${() => go(undefined)}>${icon("plus")}New chat</button>
    <label class="search">${icon("search")}<input type="search" aria-label="Search threads" placeholder="Search" value=${text} maxlength="200"
      onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label>
    <${Rows} list=${list} archived=${archived} searching=${text.trim() !== ""} />
    <${Undo} />
    <div class="foot">
      <button class="plain" aria-pressed=${String(archived)} onClick=${() => setArchived(!archived)}>${icon("archive")}Archived</button>
      <button class="plain" onClick=${() => world.overlay.set("keys")}>${icon("help")}Keys</button>
    </div>
  </nav>`;
}

/** @param {{ list: any, archived: boolean, searching: boolean }} props */
function Rows({ list, archived, searching }) {
  const view = useView(list);
  const here = useCell(world.route);
  const gone = useCell(world.removals);
  const mine = view?.rows.find((/** @type {Row} */ row) => row.id === here);
  useEffect(() => markRead(mine), [mine]);
  if (view === undefined) return html`<div class="rows"></div>`;
  const rows = view.rows.filter((/** @type {Row} */ row) => !gone.some((one) => one.id === row.id));
  const empty = searching ? "No thread has this text." : archived ? "No archived threads." : "Your threads appear here.";
  return html`<div class="rows">
    ${view.error && html`<p class="hint" role="alert">The list is not up to date: ${line(view.error.message, 200)}</p>`}
    ${rows.length === 0 && !view.loading && html`<p class="hint">${empty}</p>`}
    <ul>${rows.map((/** @type {Row} */ row) => {
      return html`<${RowLine} key=${row.id} row=${row} here=${row.id === here} archived=${archived} kind=${kindOf(row)} />`;
    })}</ul>
    ${view.hasMore && html`<button class="plain more" disabled=${view.loading} onClick=${() => list.more()}>Older threads</button>`}
    ${view.loading && html`<p class="hint">Loading…</p>`}
  </div>`;
}

const RowLine = memo(({ row, here, archived, kind }) => {
  const [editing, setEditing] = useState(false);
  const name = nameOf(row);
  if (editing) return html`<li><${Rename} row=${row} done=${() => setEditing(false)} /></li>`;
  return html`<li class=${here ? "here" : ""}>
    <a href=${addressOf(row.id)} aria-current=${here ? "page" : undefined} onClick=${(/** @type {MouseEvent} */ event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      go(row.id);
    }}>
      <span class="name" dir="auto">${name}</span>
      <span class="when">${kind ? html`<span class=${`state ${kind}`}>${STATES[kind]}</span>` : ago(row.updatedAt)}</span>
    </a>
    <span class="tools">
      <button class="plain" aria-label=${`Rename ${name}`} title="Rename" onClick=${() => setEditing(true)}>${icon("edit")}</button>
      <button class="plain" aria-label=${`${archived ? "Unarchive" : "Archive"} ${name}`} title=${archived ? "Unarchive" : "Archive"}
        onClick=${() => shelve(row.id, archived)}>${icon("archive")}</button>
      <button class="plain" aria-label=${`Delete ${name}`} title="Delete" onClick=${() => remove(row.id, name)}>${icon("trash")}</button>
    </span>
  </li>`;
});

/** @param {{ row: Row, done: () => void }} props */
function Rename({ row, done }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.select(), []);
  const save = async () => {
    const name = field.current?.value.trim() ?? "";
    done();
    if (name === "" || name === row.name) return;
    await attempt("rename the thread", () => server().call("thread/name/set", { threadId: row.id, name }));
  };
  return html`<form class="rename" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), save())}>
    <input ref=${field} aria-label="Name of the thread" dir="auto" maxlength="200" defaultValue=${row.name || row.preview} onBlur=${save}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Escape" && (event.stopPropagation(), done())} />
  </form>`;
}

function Undo() {
  const removals = useCell(world.removals);
  return html`<div class="undo" role="status" aria-label="Deleted threads">${removals.map(
    (removal) => html`<p key=${removal.id}><span dir="auto">Deleted “${line(removal.name, 40)}”</span>
      <button onClick=${() => takeBack(removal)}>Undo</button></p>`,
  )}</div>`;
}

const panels = () => import("./panels.js");
const Details = lazy(panels, "Details");
const Keys = lazy(panels, "Keys");
const ModelChoice = lazy(panels, "ModelChoice");

/** @param {{ chat: any }} props */
function Title({ chat }) {
  const view = useView(chat);
  const said = view?.turns[0]?.items.find((/** @type {any} */ item) => item.type === "userMessage")?.content.find((/** @type {any} */ part) => part.type === "text")?.text;
  return html`<h1 class="title" dir="auto">${nameOf({ name: view.name, preview: view.older === undefined ? said : "Chat" })}</h1>`;
}

/** @param {{ chat: any, panels: { left: boolean, right: boolean } }} props */
function Top({ chat, panels }) {
  return html`<header class="top">
    <button class="plain" aria-label="Threads" aria-expanded=${String(panels.left === isNarrow())} onClick=${() => panel({ left: !panels.left })}>${icon("menu")}</button>
    ${chat ? html`<${Title} chat=${chat} />` : html`<span class="title"></span>`}
    ${chat && html`<${ModelName} chat=${chat} />`}
    <${Status} />
    <button class="plain" aria-label="Show details" aria-expanded=${String(panels.right)} onClick=${() => panel({ right: !panels.right })}>${icon("panel")}</button>
  </header>`;
}

/** @param {{ chat: any }} props */
function Middle({ chat }) {
  // Another chat is another conversation, with its own scroll.
  return html`<${Conversation} key=${chat} chat=${chat} />
    <div class="below"><${Questions} chat=${chat} /><${Troubles} chat=${chat} /><${EchoLine} chat=${chat} /><${Queue} key=${chat} chat=${chat} /><${Composer} chat=${chat} /></div>`;
}

function App() {
  const chat = useCell(world.chat);
  const panels = useCell(world.panels);
  const overlay = useCell(world.overlay);
  return html`<div class=${`app${panels.left ? " left-open" : ""}${panels.right ? " right-open" : ""}`}>
    <${Guard}><${Threads} /><//>
    <div class="shade" onClick=${() => panel({ left: false })}></div>
    <main class="middle"><${Top} chat=${chat} panels=${panels} />
      ${chat ? html`<${Guard}><${Middle} chat=${chat} /><//>` : html`<div class="scroller"></div><div class="below"><${Troubles} /></div>`}</main>
    ${panels.right && html`<${Guard}><${Details} /><//>`}
    ${overlay === "keys" && html`<${Keys} />`}
    ${overlay === "model" && chat && html`<${ModelChoice} chat=${chat} />`}
  </div>`;
}

/** @type {Record<string, () => void>} */
const RUN = {
  KeyC: () => go(undefined),
  KeyT: () => panel({ left: !world.panels.value.left }),
  KeyD: () => panel({ right: !world.panels.value.right }),
};

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.isComposing || world.overlay.value !== undefined) return;
  if (event.key === "Escape" && isNarrow()) panel({ left: false, right: false });
  if (event.altKey) {
    const run = RUN[event.code];
    if (run === undefined) return;
    event.preventDefault();
    run();
  } else if (!isField(event.target) && event.key === "?") {
    event.preventDefault();
    world.overlay.set("keys");
  } else if (!isField(event.target) && event.key === "/") {
    event.preventDefault();
    panel({ left: isNarrow() });
    setTimeout(() => /** @type {any} */ (document.querySelector("input[type=search]"))?.focus());
  }
}

/** A failure of the page itself is shown, and the page goes on. */
function watchFailures() {
  addEventListener("error", (event) => /^ResizeObserver/.test(event.message) || notify({ kind: "error", text: `The page failed: ${event.message}` }));
  addEventListener("unhandledrejection", (event) => notify({ kind: "error", text: `The page failed: ${words(event.reason)}` }));
}

/** @returns {Promise<string | undefined>} The session of this browser, after a ticket the new one. */
async function session() {
  const known = storedSession();
  if (ticket === undefined) {
    if (known === undefined) world.refusal.set({ reason: "missing", message: "" });
    return known;
  }
  const answer = await trade(ticket, () => world.pairing.set(true));
  world.pairing.set(false);
  if ("session" in answer) return answer.session;
  if (known !== undefined && (await scopeOf(known)) !== undefined) {
    notify({ kind: "note", text: "The address was used before or is too old. This browser's session still works." });
    return known;
  }
  world.refusal.set(answer.refusal);
  return undefined;
}

/**
 * What survives a reload: messages that the server does not have yet. Views come from the server again.
 * @param {import("./vendor/skein-client.js").Store} all
 * @returns {any}
 */
const messagesOnly = (all) => ({
  ...all,
  set: (/** @type {string} */ key, /** @type {unknown} */ value) => key.startsWith("unsent.") && all.set(key, value),
  open: () => messagesOnly(/** @type {any} */ (all.open)()),
});

/** Where messages wait. A browser that blocks its storage keeps them until the reload. */
function waiting() {
  try {
    return messagesOnly(webStorage(localStorage));
  } catch {
    return memory();
  }
}

/** @param {string} token */
function start(token) {
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`;
  const skein = connect({ url, token, clientInfo: { name: "skein-page", title: "Skein's page", version: "1" }, storage: waiting() });
  world.skein.set(skein);
  collect(skein);
  open(fromAddress());
  addEventListener("hashchange", () => open(fromAddress()));
  addEventListener("popstate", () => open(fromAddress()));
  // A session that another tab has got is a way out of a refusal here.
  addEventListener("storage", (event) => event.key === "skein.session" && event.newValue && skein.link.state === "refused" && skein.retry(event.newValue));
  const list = skein.threads();
  followThreads(list);
  const seen = () => {
    const chat = world.chat.value;
    const read = chat?.id === undefined || chat.view.at || chat.view.error || chat.view.deleted;
    if (stops.length === 0 || list.view.loading || skein.link.state !== "live" || !read) return;
    for (const stop of stops.splice(0)) stop();
    void learnProviders().then(painted);
    void learnServer().catch(() => {});
    void scopeOf(token).then((scope) => scope && world.scope.set(scope));
  };
  const later = () => queueMicrotask(seen);
  const stops = [list.watch(later), skein.watchLink(later), world.chat.value?.watch(later) ?? later];
}

/** Says that the first data is on the screen. */
function painted() {
  requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.skein = "ready")));
}

async function main() {
  watchFailures();
  addEventListener("keydown", onKey);
  const place = /** @type {HTMLElement} */ (document.getElementById("app"));
  place.replaceChildren();
  render(html`<${App} />`, place);
  const token = await session();
  if (token !== undefined) start(token);
}

void main();
