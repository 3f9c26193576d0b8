// The box in which the user writes, the messages that wait above it, and the model that answers.

import { Cell, html, icon, line, say, size, useCell, useCopy, useEffect, useLayoutEffect, useRef, useState, useView, visible, words } from "./lib.js";
import { attempt, choose, dismiss, go, noteUnsaved, notify, server, settled, store, stored, world } from "./world.js";

/** @typedef {{ name: string, url: string }} Picture */
/** @typedef {{ text: string, pictures: readonly Picture[] }} Draft */

const LONGEST = 1_000_000;
const PICTURE_BYTES = 5_000_000;
const ALL_BYTES = 11_000_000;
const RASTER = /^image\/(?:png|jpeg|gif|webp)$/;

/** @type {Draft} */
const EMPTY = { text: "", pictures: [] };
/** @type {Map<string, Cell<Draft>>} */
const drafts = new Map();

/** @param {string | undefined} thread */
function keyOf(thread) {
  return `skein.draft.${thread ?? "new"}`;
}

/**
 * The draft of a thread, as the browser keeps it.
 * @param {string | undefined} thread
 * @returns {Cell<Draft>}
 */
export function draftOf(thread) {
  const key = keyOf(thread);
  let draft = drafts.get(key);
  if (draft === undefined) {
    draft = new Cell({ ...EMPTY, text: stored(key) ?? "" });
    drafts.set(key, draft);
    draft.watchers.add(({ text }) => store(key, text));
  }
  return draft;
}

/** @param {any[]} input @returns {Draft} */
function draftFrom(input) {
  const text = input.filter((part) => part.type === "text").map((part) => part.text).join("\n");
  const pictures = input.filter((part) => part.type === "image" && typeof part.url === "string").map((part, at) => ({ name: `picture ${at + 1}`, url: part.url }));
  return { text, pictures };
}

/** @param {Draft} draft */
function inputOf(draft) {
  /** @type {any[]} */
  const input = draft.pictures.map(({ url }) => ({ type: "image", url }));
  if (draft.text.trim() !== "") input.unshift({ type: "text", text: draft.text });
  return input;
}

/** Gives a refused message back, before what was written meanwhile.
 * @param {Cell<Draft>} cell
 * @param {Draft} draft
 */
function giveBack(cell, draft) {
  const now = cell.value;
  const text = now.text === "" || now.text === draft.text ? draft.text : `${draft.text}\n${now.text}`;
  cell.set({ text, pictures: [...draft.pictures, ...now.pictures] });
}

/**
 * Takes a refused message back into the box.
 * @param {any} chat
 * @param {any} unsent
 */
export function takeOut(chat, unsent) {
  chat.discard(unsent.id);
  giveBack(draftOf(chat.id), draftFrom(unsent.input));
}

/** @param {any} view Whether a turn runs. */
export function isRunning(view) {
  return view.status?.type === "active";
}

/** Brings the focus into the box. */
export function focusMessage() {
  /** @type {any} */ (document.querySelector("textarea[aria-label=Message]"))?.focus();
}

/** @param {any} chat */
async function begin(chat) {
  if (chat.id !== undefined) return;
  const { model, modelProvider } = world.choice.value;
  if (model !== undefined) await chat.start({ model, modelProvider });
}

/** A message whose arrival is not known keeps its id, so that it is not queued twice. */
let queued = { key: "", id: "" };

/** @param {string} threadId @param {any[]} input Puts a message behind the running turn. */
async function enqueue(threadId, input) {
  const key = threadId + JSON.stringify(input);
  if (queued.key !== key) queued = { key, id: `${Date.now()} ${Math.random()}` };
  await server().call("thread/queue/add", { threadId, clientUserMessageId: queued.id, input });
  queued.key = "";
}

/** Sends what is in the box: into the running turn, or as a message that waits for its end.
 * @param {boolean} [waits]
 */
export async function send(waits) {
  const chat = /** @type {any} */ (world.chat.value);
  const key = keyOf(world.route.value);
  const cell = draftOf(world.route.value);
  const draft = cell.value;
  const input = inputOf(draft);
  if (chat === undefined || input.length === 0) return;
  const later = waits && chat.id !== undefined;
  cell.set(EMPTY);
  // The client keeps other messages of a thread; without one, a reload gives the text back.
  if (later || chat.id === undefined) store(key, draft.text);
  for (const notice of world.notices.value) if (notice.kind === "note") dismiss(notice);
  try {
    if (later) await enqueue(chat.id, input);
    else {
      await begin(chat);
      const sent = chat.send(input);
      follow(chat);
      await sent;
    }
    store(key, cell.value.text);
    follow(chat);
  } catch (error) {
    follow(chat);
    for (const one of chat.view.unsent) if (one.error !== undefined) chat.discard(one.id);
    giveBack(world.chat.value === chat ? draftOf(chat.id) : cell, draft);
    if (/** @type {any} */ (error)?.reason === "notSaved") noteUnsaved();
    else notify({ kind: "error", text: `The message was not sent: ${words(error)}` });
  }
}

/** @param {any} chat */
function follow(chat) {
  if (chat.id === undefined || world.chat.value !== chat || world.route.value === chat.id) return;
  // What was written meanwhile goes with the chat.
  const draft = draftOf(undefined);
  draftOf(chat.id).set(draft.value);
  draft.set(EMPTY);
  settled(chat.id);
}

/** Interrupts the running turn. */
export async function stop() {
  const chat = world.chat.value;
  if (chat !== undefined) await attempt("stop the turn", () => chat.interrupt());
}

/**
 * Sends the message of a turn again.
 * @param {any} turn
 */
export async function retry(turn) {
  const message = turn.items.find((/** @type {any} */ item) => item.type === "userMessage");
  const chat = /** @type {any} */ (world.chat.value);
  if (message === undefined || chat === undefined) return;
  await attempt("send the message again", () => chat.send(inputOf(draftFrom(message.content))));
}

/**
 * Copies the thread up to before this turn, and puts the message into the box of the copy.
 * @param {string} turnId
 * @param {any} item
 */
export async function editMessage(turnId, item) {
  const threadId = world.route.value;
  if (threadId === undefined) return;
  const forked = await attempt("copy the chat", () => server().call("thread/fork", { threadId, beforeTurnId: turnId }));
  if (forked === undefined) return;
  draftOf(forked.thread.id).set(draftFrom(item.content));
  go(forked.thread.id);
  notify({ kind: "note", text: "This is a copy of the chat up to here. The old one is unchanged." });
}

/** @param {File} file @returns {Promise<string>} */
function asAddress(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/**
 * Puts pictures into the message.
 * @param {Iterable<File>} files
 */
async function addFiles(files) {
  const cell = draftOf(world.route.value);
  for (const file of files) {
    const used = cell.value.pictures.reduce((sum, one) => sum + one.url.length, 0);
    const why = !RASTER.test(file.type) ? "only PNG, JPEG, GIF and WebP pictures can be sent"
      : file.size > PICTURE_BYTES ? `it has ${size(file.size)}; a picture may have ${size(PICTURE_BYTES)}`
      : used + file.size * 1.34 > ALL_BYTES ? "the message would be too large" : undefined;
    if (why !== undefined) notify({ kind: "error", text: `“${file.name}” was not added: ${why}.` });
    else {
      const url = await attempt(`read “${file.name}”`, () => asAddress(file));
      if (url !== undefined) cell.set({ ...cell.value, pictures: [...cell.value.pictures, { name: file.name, url }] });
    }
  }
}

/** @param {any} event Pictures and long texts that are pasted. */
function onPaste(event) {
  const files = [...event.clipboardData.files];
  if (files.length > 0) {
    event.preventDefault();
    void addFiles(files);
    return;
  }
  const more = event.clipboardData.getData("text").length;
  const field = event.target;
  const kept = field.value.length - (field.selectionEnd - field.selectionStart);
  if (kept + more > LONGEST) notify({ kind: "error", text: `A message may have ${LONGEST} characters. The rest was left out.` });
}

/** @param {any} event */
function onKeyDown(event) {
  if (event.key === "Escape" && !event.isComposing) void stop();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  void send(event.altKey);
}

/** @param {{ pictures: readonly Picture[], cell: Cell<Draft> }} props */
function Pictures({ pictures, cell }) {
  if (pictures.length === 0) return null;
  const without = (/** @type {Picture} */ gone) => cell.set({ ...cell.value, pictures: pictures.filter((one) => one !== gone) });
  return html`<ul class="attached" aria-label="Pictures of the message">${pictures.map((one) => html`<li><img src=${one.url} alt=${one.name} />
    <button aria-label=${`Remove ${one.name}`} onClick=${() => without(one)}>${icon("close")}</button></li>`)}</ul>`;
}

/** @param {{ usage: any }} props */
function Usage({ usage }) {
  if (!usage) return null;
  const used = usage.last.totalTokens;
  const window = usage.modelContextWindow;
  const said = `${usage.total.totalTokens.toLocaleString()} tokens`;
  if (!window) return html`<span class="usage">${said}</span>`;
  const share = Math.min(100, Math.round((used / window) * 100));
  return html`<span class="usage" title=${`${said} in all; the last answer used ${used} of ${window}`}><meter min="0" max="100" high="80" value=${share} aria-label="Context in use"></meter>${share} % of the context</span>`;
}

/** @param {{ chat: any }} props */
export function Composer({ chat }) {
  const view = useView(chat);
  const thread = useCell(world.route);
  const scope = useCell(world.scope);
  const cell = draftOf(thread);
  const draft = useCell(cell);
  const field = useRef(/** @type {any} */ (null));
  const picker = useRef(/** @type {any} */ (null));
  const running = isRunning(view);
  useEffect(() => {
    if (!matchMedia("(pointer: coarse)").matches && !document.querySelector("[role=dialog]")) focusMessage();
  }, [chat]);
  useLayoutEffect(() => {
    const box = field.current;
    if (box === null) return;
    box.style.setProperty("height", "auto");
    box.style.setProperty("height", `${Math.min(box.scrollHeight + 2, innerHeight * 0.4)}px`);
  }, [draft.text, thread]);
  if (scope === "read") return html`<p class="hint center">This session may only watch. Run <code>skein open</code> for one that may write.</p>`;
  const gone = view.deleted;
  const nothing = draft.text.trim() === "" && draft.pictures.length === 0;
  return html`<form class="composer" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void send())}
    onDragOver=${(/** @type {Event} */ event) => event.preventDefault()}
    onDrop=${(/** @type {any} */ event) => (event.preventDefault(), void addFiles(event.dataTransfer.files))}>
    <${Pictures} pictures=${draft.pictures} cell=${cell} />
    <textarea ref=${field} rows="1" dir="auto" aria-label="Message" placeholder=${running ? "Add to the running turn" : "Write a message"} maxlength=${LONGEST} value=${draft.text} disabled=${gone}
      onInput=${(/** @type {any} */ event) => cell.set({ ...cell.value, text: event.target.value })} onKeyDown=${onKeyDown} onPaste=${onPaste}></textarea>
    <div class="bar">
      <input ref=${picker} class="unseen" type="file" tabindex="-1" aria-hidden="true" accept="image/png,image/jpeg,image/gif,image/webp" multiple
        onChange=${(/** @type {any} */ event) => (void addFiles([...event.target.files]), (event.target.value = ""))} />
      <button type="button" class="plain" aria-label="Add pictures" title="Add pictures" onClick=${() => picker.current.click()}>${icon("clip")}</button>
      <${Usage} usage=${view.usage} />
      <span class="gap"></span>
      ${running && html`<button type="button" title="Alt+Enter" disabled=${nothing} onClick=${() => send(true)}>Queue</button>
        <button type="button" class="stop" onClick=${stop}>${icon("stop")}Stop</button>`}
      <button class="send" aria-label="Send" title=${running ? "Send into the running turn" : "Send"} disabled=${nothing || gone}>${icon("send")}</button>
    </div>
  </form>`;
}

/** A hold this long is told: between two turns of a queue the thread is idle, too. */
const HELD_MS = 500;

/** @param {any} one @returns {string} */
function textOf(one) {
  return one.input.map((/** @type {any} */ part) => part.text ?? `[${part.type}]`).join("\n");
}

/** @param {{ one: any, done: (text?: string) => void }} props */
function Edit({ one, done }) {
  const field = useRef(/** @type {any} */ (null));
  useEffect(() => field.current.focus(), []);
  const save = () => done(field.current.value);
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") done();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    save();
  };
  return html`<textarea ref=${field} rows="2" dir="auto" aria-label="Waiting message" defaultValue=${draftFrom(one.input).text} onKeyDown=${onKey}></textarea>
    <button onClick=${save}>Save</button><button onClick=${() => done()}>Cancel</button>`;
}

/** @param {{ chat: any }} props */
export function Queue({ chat }) {
  const view = useView(chat);
  const threadId = view.id;
  const live = useCell(world.link).state === "live";
  const mayWrite = useCell(world.scope) !== "read";
  const [rows, setRows] = useState(/** @type {readonly any[]} */ ([]));
  const [edited, setEdited] = useState(/** @type {string | undefined} */ (undefined));
  const [held, setHeld] = useState(false);
  const moved = useRef(/** @type {any} */ (undefined));
  const running = isRunning(view);
  const waits = rows.length > 0;
  useEffect(() => {
    if (threadId === undefined || !live) return undefined;
    let newest = 0;
    const read = () => {
      const mine = ++newest;
      server().call("thread/queue/list", { threadId, limit: 100 }).then(({ data }) => mine === newest && setRows(data), () => {});
    };
    read();
    const stop = server().on("thread/queue/changed", (changed) => void (changed.threadId === threadId && read()));
    return () => ((newest = -1), stop());
  }, [threadId, live]);
  useEffect(() => {
    setHeld(false);
    if (running || !waits) return undefined;
    const timer = setTimeout(setHeld, HELD_MS, true);
    return () => clearTimeout(timer);
  }, [running, waits]);
  // A button that has moved with its message keeps the focus.
  useLayoutEffect(() => {
    moved.current?.focus();
    moved.current = undefined;
  }, [rows]);
  const count = rows.length === 1 ? "1 message waits" : `${rows.length} messages wait`;
  const said = held ? `The queue is held: ${count}.` : `${count} for the end of the turn.`;
  useEffect(() => void (waits && say(said)), [waits && said]);
  if (!waits) return null;
  const ask = (/** @type {string} */ what, /** @type {"update" | "delete" | "reorder" | "start"} */ how, /** @type {object} */ given) =>
    attempt(what, () => server().call(`thread/queue/${how}`, /** @type {any} */ ({ threadId, ...given })));
  const move = (/** @type {number} */ at, /** @type {number} */ to, /** @type {any} */ button) => {
    const next = [...rows];
    next.splice(to, 0, ...next.splice(at, 1));
    moved.current = button;
    setRows(next);
    void ask("move the message", "reorder", { queuedSubmissionIds: next.map((one) => one.id) });
  };
  const save = (/** @type {any} */ one, /** @type {string | undefined} */ text) => {
    setEdited(undefined);
    focusMessage();
    const rest = one.input.filter((/** @type {any} */ part) => part.type !== "text");
    if (text?.trim()) void ask("change the message", "update", { queuedSubmissionId: one.id, input: [{ type: "text", text }, ...rest] });
  };
  const start = (/** @type {string | undefined} */ queuedSubmissionId = undefined) => {
    focusMessage();
    void ask("send the message", "start", { queuedSubmissionId });
  };
  return html`<section class="queue" aria-label="Queue">
    <p>${said}${held && mayWrite && html` <button onClick=${() => start()}>Start the queue</button>`}</p>
    <ol>${rows.map((one, at) => {
      const text = line(textOf(one), 60);
      const button = (/** @type {string} */ name, /** @type {any} */ image, /** @type {(event: any) => void} */ press, off = false) =>
        html`<button class="plain" aria-label=${`${name}: ${text}`} title=${name} aria-disabled=${String(off)} onClick=${(/** @type {any} */ event) => off || press(event)}>${image}</button>`;
      if (edited === one.id) return html`<li key=${one.id}><${Edit} one=${one} done=${(/** @type {string | undefined} */ text) => save(one, text)} /></li>`;
      return html`<li key=${one.id}><span class="said" dir="auto">${visible(textOf(one)).slice(0, 500)}</span>
        ${mayWrite && html`<span>${button("Move up", icon("send"), (event) => move(at, at - 1, event.currentTarget), at === 0)}
          ${button("Move down", icon("down"), (event) => move(at, at + 1, event.currentTarget), at === rows.length - 1)}
          ${button("Edit", icon("edit"), () => setEdited(one.id))}
          ${button("Delete", icon("trash"), () => (focusMessage(), void ask("delete the message", "delete", { queuedSubmissionId: one.id })))}
          ${button("Send now", "Send now", () => start(one.id), running)}</span>`}</li>`;
    })}</ol></section>`;
}

/** @typedef {{ id: string, name: string, why: string, models: string[] }} Ready */

/** What `modelProvider/list` and `model/list` said, or `undefined` before that. */
export const known = new Cell(/** @type {{ ready: Ready[], standard: string } | undefined} */ (undefined));

/** @param {any} one @returns {string} How the provider is ready, without a secret. */
function whyOf(one) {
  return one.envKey ? `key in ${one.envKey}` : one.local ? "runs on this machine" : "ready";
}

/** @param {string} modelProvider */
async function modelsOf(modelProvider) {
  try {
    const { data } = await server().call("model/list", { modelProvider, limit: 30 });
    return data.filter((one) => !one.hidden).map((one) => one.model);
  } catch {
    return [];
  }
}

/** Asks the server which providers are ready. */
export async function learnProviders() {
  try {
    const answer = await server().call("modelProvider/list", {});
    const ready = await Promise.all((answer.skein?.ready ?? []).filter((one) => one.id !== "scripted").map(async (one) => {
      const name = answer.data.find((other) => other.id === one.id)?.name ?? one.id;
      return { id: one.id, name, why: whyOf(one), models: await modelsOf(one.id) };
    }));
    known.set({ ready, standard: answer.defaultProviderId });
  } catch {
    known.set({ ready: [], standard: "" });
  }
}

/** @param {any} chat @param {any} view The model of a chat. */
export function useModel(chat, view) {
  const choice = useCell(world.choice);
  const list = useCell(known);
  if (chat.id === undefined && choice.model) return choice;
  if (view.modelProvider) return { model: view.model ?? view.modelProvider, modelProvider: view.modelProvider };
  return list ? { model: list.standard, modelProvider: list.standard } : {};
}

/** @param {{ chat: any }} props The model's name, which opens the choice. */
export function ModelName({ chat }) {
  const view = useView(chat);
  const { model } = useModel(chat, view);
  return html`<button class="chip" aria-haspopup="dialog" title="Model: choose another" aria-label=${`Model: ${line(model ?? "unknown", 60)}`} onClick=${() => world.overlay.set("model")}>${line(model ?? "model", 32)}</button>`;
}

/** @param {{ chat: any }} props One line while the echo model answers. */
export function EchoLine({ chat }) {
  const view = useView(chat);
  const { modelProvider } = useModel(chat, view);
  const list = useCell(known);
  if (modelProvider !== "echo" || list === undefined) return null;
  const ready = list.ready.filter((one) => one.id !== "echo");
  return html`<p class="echo"><span>This is the echo model: connect one${ready.length > 0 ? ":" : "."}</span>
    ${ready.map((one) => html`<button key=${one.id} onClick=${() => (one.models[0] ? pick(chat, one.models[0], one.id) : world.overlay.set("model"))}>${line(one.name, 40)} <small>${line(one.why, 40)}</small></button>`)}
    <button class="plain" onClick=${() => world.overlay.set("model")}>${ready.length > 0 ? "All models" : "How to connect one"}</button></p>`;
}

/**
 * Uses a model for this thread and the next ones of this browser. A thread keeps its provider, so another provider
 * continues in a copy.
 * @param {any} chat
 * @param {string | undefined} model
 * @param {string} modelProvider
 */
export async function pick(chat, model, modelProvider) {
  if (model === undefined) return;
  choose({ model, modelProvider });
  world.overlay.set(undefined);
  const threadId = chat.id;
  if (threadId === undefined) return;
  if (chat.view.modelProvider === modelProvider) await attempt("change the model", () => server().call("thread/settings/update", { threadId, model }));
  else {
    const forked = await attempt("continue with this model", () => server().call("thread/fork", { threadId, model, modelProvider }));
    if (forked !== undefined) go(forked.thread.id);
  }
}

/** @param {{ command: string }} props A command to run in a terminal. */
export function Command({ command }) {
  const [done, press] = useCopy(command);
  return html`<span class="command"><code>${command}</code><button class="plain" aria-label=${`Copy ${command}`} onClick=${press}>${icon(done ? "ok" : "copy")}</button></span>`;
}
