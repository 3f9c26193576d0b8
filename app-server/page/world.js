// The state that the parts of the page share, the session, the actions on threads, and the tab's title.

import { asset, Cell, line, quoted, words } from "./lib.js";

const KEY = "skein.session";

/** @typedef {{ reason: string, message: string }} Refusal */

/** The session of this browser. */
export function storedSession() {
  return stored(KEY);
}

/**
 * Reads an entry of localStorage. A browser that blocks storage has none.
 * @param {string} key
 * @returns {string | undefined}
 */
export function stored(key) {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * Writes an entry of localStorage, or removes it without a value; without storage the page still works, until its reload.
 * @param {string} key
 * @param {string | undefined} value
 */
export function store(key, value) {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // Storage is full or blocked.
  }
}

/** @param {string} method @param {Record<string, string>} headers @param {string} [body] */
function ask(method, headers, body) {
  return fetch("/auth/session", { method, headers, body });
}

/**
 * Trades a ticket for a session. A pairing waits for a person at a terminal.
 * @param {string} ticket
 * @param {() => void} waits
 * @returns {Promise<{ session: string } | { refusal: Refusal }>}
 */
export async function trade(ticket, waits) {
  try {
    /** @type {string | undefined} */
    let claim;
    const post = () => ask("POST", { "Content-Type": "application/json" }, JSON.stringify({ ticket, claim }));
    let answer = await post();
    while (answer.status === 202) {
      claim = (await answer.json()).claim;
      waits();
      await new Promise((done) => setTimeout(done, 1000));
      answer = await post();
    }
    const body = await answer.json();
    if (!answer.ok) return { refusal: { reason: String(body.reason), message: String(body.message) } };
    store(KEY, body.session);
    return { session: body.session };
  } catch {
    return { refusal: { reason: "away", message: "The server does not answer." } };
  }
}

/**
 * The scope of the session: `read`, `chat` or `admin`.
 * @param {string} session
 * @returns {Promise<string | undefined>}
 */
export async function scopeOf(session) {
  try {
    const answer = await ask("GET", { Authorization: `Bearer ${session}` });
    return answer.ok ? (await answer.json()).scope : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Ends the session on the server and in this browser.
 * @param {string} session
 */
export async function signOut(session) {
  store(KEY, undefined);
  await ask("DELETE", { Authorization: `Bearer ${session}` }).catch(() => {});
}

/** @typedef {import("./vendor/skein-client.js").Skein} Skein */
/** @typedef {import("./vendor/skein-client.js").Chat} Chat */
/** @typedef {import("./vendor/skein-client.js").Link} Link */
/** @typedef {{ kind: "error" | "note", text: string }} Notice */
/** @typedef {{ model?: string, modelProvider?: string }} Choice */
/** @typedef {{ id: string, name: string, until: number }} Removal */

const CHOICE = "skein.model";

/** In a narrow window the threads lie over the conversation when they are open; in a wide one they are beside it unless closed. */
export function isNarrow() {
  return matchMedia("(max-width: 56em)").matches;
}

/** What the page shows. */
export const world = {
  /** @type {Cell<Skein | undefined>} */
  skein: new Cell(/** @type {Skein | undefined} */ (undefined)),
  /** @type {Cell<Chat | undefined>} */
  chat: new Cell(/** @type {Chat | undefined} */ (undefined)),
  /** The thread of the address, or `undefined` for a new chat. */
  route: new Cell(/** @type {string | undefined} */ (undefined)),
  /** @type {Cell<Link>} */
  link: new Cell(/** @type {any} */ ({ state: "connecting", since: Date.now() })),
  /** Whether a person at a terminal has to let this page in. */
  pairing: new Cell(false),
  /** A refusal before there was a connection. */
  refusal: new Cell(/** @type {Refusal | undefined} */ (undefined)),
  /** Short messages that the user can close. */
  notices: new Cell(/** @type {Notice[]} */ ([])),
  /** Threads that are deleted when their time is over. */
  removals: new Cell(/** @type {Removal[]} */ ([])),
  /** Which side panels are open. */
  panels: new Cell({ left: false, right: stored("skein.details") === "open" && !isNarrow() }),
  /** The overlay: `keys`, `model` or none. */
  overlay: new Cell(/** @type {string | undefined} */ (undefined)),
  /** Model and provider for the next threads of this browser. */
  choice: new Cell(readChoice()),
  /** `read`, `chat` or `admin`. */
  scope: new Cell("chat"),
};

/** @returns {Choice} */
function readChoice() {
  try {
    return JSON.parse(stored(CHOICE) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {Choice} choice */
export function choose(choice) {
  world.choice.set(choice);
  store(CHOICE, choice.model && JSON.stringify(choice));
}

/** @returns {Skein} */
export function server() {
  if (world.skein.value === undefined) throw new Error("The page is not connected.");
  return world.skein.value;
}

/** @param {Notice} notice */
export function notify(notice) {
  world.notices.set([...world.notices.value.filter((one) => one.text !== notice.text), notice].slice(-4));
}

/** @param {Notice} notice */
export function dismiss(notice) {
  world.notices.set(world.notices.value.filter((one) => one !== notice));
}

/**
 * Runs an action and shows its error.
 * @template T
 * @param {string} what The action, as `Could not …`.
 * @param {() => Promise<T>} run
 * @returns {Promise<T | undefined>}
 */
export async function attempt(what, run) {
  try {
    return await run();
  } catch (error) {
    notify({ kind: "error", text: `Could not ${what}: ${words(error)}` });
    return undefined;
  }
}

/** Chats that were left while they worked; they stay subscribed until they are done. */
const working = new Set();

/** @param {Chat} chat */
function leave(chat) {
  const busy = () => chat.view.status?.type === "active" || chat.view.unsent.length > 0;
  if (!busy()) return chat.close();
  working.add(chat);
  const stop = chat.watch(() => {
    if (busy() || !working.has(chat)) return;
    working.delete(chat);
    queueMicrotask(() => {
      stop();
      if (world.chat.value !== chat) chat.close();
    });
  });
}

/**
 * Shows a thread, or a new chat.
 * @param {string | undefined} id
 */
export function open(id) {
  const last = world.chat.value;
  if (last !== undefined && last.id === id && id !== undefined) return;
  const kept = [...working].find((chat) => chat.id === id && id !== undefined);
  working.delete(kept);
  world.route.set(id);
  world.chat.set(kept ?? server().thread(id));
  if (last !== undefined) leave(last);
}

/** The thread that the address names. */
export function fromAddress() {
  const found = /^#\/t\/([^/?&]+)/.exec(location.hash);
  return found?.[1] === undefined ? undefined : decodeURIComponent(found[1]);
}

/** @param {string | undefined} id */
export function addressOf(id) {
  return id === undefined ? "#/" : `#/t/${encodeURIComponent(id)}`;
}

/** @param {string | undefined} id */
export function go(id) {
  const address = addressOf(id);
  if (isNarrow()) panel({ left: false });
  if (location.hash !== address) history.pushState(null, "", address);
  open(id);
}

/** The new chat has become a thread: its address follows, without a new entry in the history.
 * @param {string} id
 */
export function settled(id) {
  if (world.route.value === id) return;
  world.route.set(id);
  history.replaceState(null, "", addressOf(id));
}

const UNDO_MS = 5000;

/**
 * Deletes a thread after 5 s, unless the user takes it back.
 * @param {string} id
 * @param {string} name
 */
export function remove(id, name) {
  const removal = { id, name, until: Date.now() + UNDO_MS };
  world.removals.set([...world.removals.value, removal]);
  if (world.route.value === id) go(undefined);
  setTimeout(() => void finish(removal), UNDO_MS);
}

/**
 * Archives a thread, or takes it out of the archive.
 * @param {string} threadId
 * @param {boolean} archived
 */
export async function shelve(threadId, archived) {
  const what = archived ? "unarchive" : "archive";
  await attempt(`${what} the thread`, () => server().call(`thread/${what}`, { threadId }));
}

/** @param {Removal} removal */
export function takeBack(removal) {
  world.removals.set(world.removals.value.filter((one) => one !== removal));
}

/** @param {Removal} removal */
async function finish(removal) {
  if (!world.removals.value.includes(removal)) return;
  await attempt(`delete “${removal.name}”`, () => server().call("thread/delete", { threadId: removal.id }));
  takeBack(removal);
}

/** A page that is closed within the 5 s still deletes what the user has deleted. */
addEventListener("pagehide", () => {
  for (const removal of world.removals.value) void finish(removal);
});

/** @param {Partial<{ left: boolean, right: boolean }>} change */
export function panel(change) {
  world.panels.set({ ...world.panels.value, ...change });
  if (change.right !== undefined) store("skein.details", change.right ? "open" : undefined);
}

/** Each tab that is in sight holds this lock together with the others. */
const VISIBLE = "skein.visible";
/** A notification stays claimed this long, so that no other tab repeats it: each tab learns the news at its own time. */
const CLAIM_MS = 5000;

export function mayNotify() {
  return globalThis.Notification?.permission ?? "denied";
}

/** @type {(() => void) | undefined} */
let release;
function holdVisible() {
  if (document.visibilityState !== "visible") {
    release?.();
    release = undefined;
  } else if (release === undefined && navigator.locks) {
    navigator.locks.request(VISIBLE, { mode: "shared" }, () => new Promise((done) => (release = () => done(undefined)))).catch(() => {});
  }
}

async function anyVisible() {
  const { held } = (await navigator.locks?.query()) ?? {};
  return held?.some((lock) => lock.name === VISIBLE) ?? document.visibilityState === "visible";
}

/** @param {string} state @param {string} title @param {any} row */
async function once(state, title, row) {
  if (mayNotify() !== "granted" || (await anyVisible())) return;
  // Without the time of the change: a tab may know it from a message, and another from the list.
  const key = `${row.id}.${state}`;
  await navigator.locks?.request(`skein.notify.${key}`, { ifAvailable: true }, async (lock) => {
    if (lock === null) return;
    const shown = new Notification(title, { body: nameOf(row), icon: asset("icon.svg") });
    shown.onclick = () => {
      window.focus();
      go(row.id);
    };
    await new Promise((done) => setTimeout(done, CLAIM_MS));
  });
}

/** @type {Map<string, string>} */
const before = new Map();

/** @param {any} row What a thread does now. */
export function stateOf(row) {
  return row.status?.type !== "active" ? "quiet" : row.status.activeFlags.length > 0 ? "asks" : "works";
}

/** @param {import("./vendor/skein-client.js").ListView} view */
function onRows({ rows, needsYou }) {
  const asking = rows.filter((row) => stateOf(row) === "asks");
  // The server also counts threads that the list has not loaded, but no questions of helpers outside of a turn.
  const asks = Math.max(needsYou?.threads ?? 0, asking.length);
  // The title names the first thread that needs the user, if it is known.
  const shown = asks > 0 ? asking[0] : rows.find((row) => row.id === world.route.value);
  for (const row of rows) {
    const state = stateOf(row);
    const last = before.get(row.id);
    before.set(row.id, state);
    if (last === undefined || last === state) continue;
    if (state === "asks") void once(state, "Skein needs you", row);
    else if (state === "quiet") void once(state, "Skein is done", row);
  }
  const name = shown ? `${line(nameOf(shown), 60)} · Skein` : "Skein";
  const title = asks > 0 ? `(${asks}) needs you · ${name}` : shown && stateOf(shown) === "works" ? `… ${name}` : name;
  if (document.title !== title) document.title = title;
  const icon = asset(asks > 0 ? "icon-asks.svg" : "icon.svg");
  const link = /** @type {any} */ (document.getElementById("icon"));
  if (link && link.href !== icon) link.href = icon;
}

/**
 * Follows a list of threads.
 * @param {import("./vendor/skein-client.js").List} list
 */
export function followThreads(list) {
  holdVisible();
  document.addEventListener("visibilitychange", holdVisible);
  world.route.watch(() => onRows(list.view));
  return list.watch(onRows);
}

const EVENTS = 200;
/** The newest events, the newest first. */
export const events = new Cell(/** @type {readonly any[]} */ ([]));
let last = 0;
/** @type {any[]} */
let fresh = [];
let due = 0;

/** Helpers that do not start, by name and thread.
 * @type {Cell<readonly { name: string, thread: string | null, at: number, error: string }[]>}
 */
export const broken = new Cell(/** @type {readonly any[]} */ ([]));

/** Since when the server's disk takes no answers, Unix milliseconds. */
export const unsaved = new Cell(/** @type {number | undefined} */ (undefined));

export function noteUnsaved() {
  unsaved.set(unsaved.value ?? Date.now());
}

/** When the provider is asked again, by thread, Unix milliseconds. */
export const nextTries = /** @type {Map<string, number>} */ (new Map());

/** What commands of the user's terminal need to reach this home. */
export const atHome = new Cell("");

/** Learns what this page has not seen happen: a disk that is full, and the server's home. */
export async function learnServer() {
  const { store, home, homeIsDefault } = await server().call("skein/status", {});
  unsaved.set(store.failingSinceMs ?? undefined);
  atHome.set(homeIsDefault ? "" : ` --home ${quoted(home)}`);
}

/** When the last message came before the connection was lost, Unix milliseconds. */
export let lostAt = 0;
let heardAt = 0;

/** @param {import("./world.js").Skein} skein Collects all events of a connection. */
export function collect(skein) {
  skein.watchLink((link) => {
    if (link.state === "reconnecting") lostAt = heardAt;
    world.link.set(link);
  });
  skein.on("mcpServer/startupStatus/updated", (told, { emittedAtMs }) => {
    const { name, threadId: thread, status, error } = told;
    const known = broken.value.find((one) => one.name === name && one.thread === thread);
    const rest = broken.value.filter((one) => one !== known);
    if (status === "failed") broken.set([...rest, { name, thread, at: known?.at ?? emittedAtMs ?? Date.now(), error: error ?? "" }]);
    else if (known && status === "ready") broken.set(rest);
  });
  skein.on("turn/completed", (ended) => (ended.skein?.saved === false ? noteUnsaved() : unsaved.set(undefined)));
  skein.on("error", ({ threadId, skein }) => nextTries.set(threadId, Date.now() + (skein?.retryInMs ?? 0)));
  skein.on("*", (_params, message) => {
    heardAt = Date.now();
    if (message.method === "skein/heartbeat") return;
    fresh.push({ ...message, at: message.emittedAtMs ?? heardAt, key: ++last });
    if (fresh.length > EVENTS) fresh.shift();
    due ||= window.setTimeout(() => {
      due = 0;
      events.set([...fresh.reverse(), ...events.value].slice(0, EVENTS));
      fresh = [];
    }, 250);
  });
}

/** @param {{ name: string | null, preview: string }} row */
export function nameOf(row) {
  return line(row.name || row.preview || "New chat", 80).replace(/^[#>*\s]+/, "") || "New chat";
}
