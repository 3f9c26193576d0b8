// The link to the server: handshake, watchdog, backoff, and the way to learn why a handshake is refused.

import type { Link, LinkState, Options } from "./types.ts";
import { wireError } from "./errors.ts";

/** Bounds of the pause before a try, in milliseconds. The real pause is random between them ("full jitter"). */
const SHORTEST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;
/** As good as never, and still a time that timers have: days. */
const NEVER = 1e9;
/** A handshake has this long. */
const HANDSHAKE = 10_000;
/** A link that lived this long was good: the pauses begin again. */
const GOOD = 5_000;
/** `initialize` is the first request, so its id is never used by another one. */
const FIRST = 0;

type Hooks = {
  /** The server has answered `initialize`. */
  ready(): void;
  take(message: never): void;
  lost(code: number | undefined): void;
  changed(): void;
};

type Socket = WebSocket;

export function createLink(options: Options, hooks: Hooks) {
  const { url, clientInfo = { name: "skein-client", version: "0.1.0" }, now = Date.now, random = Math.random } = options;
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  const ask = options.fetch ?? ((input: string, init: RequestInit) => globalThis.fetch(input, init));
  let { token } = options;
  let link: Link = { state: "connecting", since: now() };
  let socket: Socket | undefined;
  let ready = false;
  let tries = 0;
  let tried = 0;
  let up = 0;
  let heard = 0;
  let limit = HANDSHAKE;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const set = (state: LinkState, more?: object) => {
    link = { state, since: state === link.state ? link.since : now(), ...more };
    hooks.changed();
  };
  const wait = (run: () => void, ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(run, ms);
  };
  /** The pause before a try, at least `least` long. A server may send anything as a time. */
  const pause = (attempt: number, least?: number) =>
    Math.max(Math.min(least!, NEVER) || 0, SHORTEST_PAUSE, random() * Math.min(SHORTEST_PAUSE * 2 ** attempt, LONGEST_PAUSE));

  /** Lets go of the socket. */
  const leave = (code?: number) => {
    const old = socket;
    socket = undefined;
    ready = false;
    clearTimeout(timer);
    if (!old) return;
    old.onopen = old.onmessage = old.onclose = null;
    old.close();
    hooks.lost(code);
  };
  const refuse = (reason: string, message: string) => {
    leave();
    set("refused", { reason, message });
  };
  /** The link is gone: tries again after a pause, at least `least` long. */
  const drop = (code?: number, least?: number) => {
    if (up && now() - up > GOOD) tries = 0;
    const refused = !up || code === 1008;
    up = 0;
    leave(code);
    const ms = pause(++tries, least);
    set("reconnecting", { nextTry: now() + ms });
    wait(open, ms);
    if (refused) void probe();
  };
  const watch = () => {
    const quiet = now() - heard;
    if (quiet >= limit) drop();
    else wait(watch, limit - quiet);
  };
  const hello = (message: { id?: unknown; result?: never; error?: object }) => {
    if (message.id !== FIRST) return;
    if (message.error) {
      const error = wireError(message.error);
      if (error.passing) drop(undefined, error.retryAfterMs);
      else refuse(error.reason, error.message);
      return;
    }
    const result = message.result as { skein?: { extensions?: { [name: string]: { heartbeatMs?: number } } } } | undefined;
    limit = Math.min(3 * result?.skein?.extensions?.["skein/events"]?.heartbeatMs!, NEVER) || NEVER;
    ready = true;
    up = now();
    send({ method: "initialized" });
    watch();
    hooks.ready();
  };
  /** Sends a message, and returns its length. */
  const send = (message: object): number => {
    const text = JSON.stringify(message);
    if (socket?.readyState === 1) socket.send(text);
    return text.length;
  };
  const open = () => {
    clearTimeout(timer);
    tried = heard = now();
    limit = HANDSHAKE;
    let mine: Socket;
    /** The pause that a stopping server wants, in milliseconds; no other notification has one. */
    let least: number | undefined;
    try {
      mine = new Socket(url, token ? ["skein.v1", "skein.auth." + token] : []);
    } catch (error) {
      return refuse("address", String(error));
    }
    socket = mine;
    if (link.state === "reconnecting") set("reconnecting");
    wait(watch, limit);
    mine.onopen = () => {
      heard = now();
      const capabilities = { extensions: { "skein/events": { version: 1 } } };
      send({ id: FIRST, method: "initialize", params: { clientInfo, capabilities } });
    };
    mine.onmessage = ({ data }) => {
      heard = now();
      try {
        const message = JSON.parse(data);
        least ??= message.params?.retryAfterMs;
        if (ready) hooks.take(message as never);
        else hello(message);
      } catch (error) {
        // Garbage. The next message counts again.
        console.warn(error);
      }
    };
    mine.onclose = ({ code }) => drop(code, least);
    return;
  };

  /** Learns why a handshake failed: a browser hides the answer. */
  const probe = async () => {
    // A program without a credential needs none, and would only be told that it has none.
    if (!token && !globalThis.location) return;
    const asked = token;
    const get = (path: string, init: RequestInit) => ask(new URL(path, url.replace(/^ws/, "http")).href, { cache: "no-store", credentials: "omit", ...init });
    const session = () => get("auth/session", token ? { headers: { Authorization: `Bearer ${token}` } } : {});
    const refused = (reason: string, message: string) => {
      if (link.state === "reconnecting" && asked === token && !ready) refuse(reason, message);
    };
    try {
      const answer = await session();
      if (![400, 401, 403, 421].includes(answer.status)) return;
      const { reason = "refused", message = reason } = await answer.json().catch(() => ({}));
      refused(reason, message);
    } catch {
      try {
        await get("healthz", { mode: "no-cors" });
      } catch {
        return; // Nobody is there.
      }
      // Asked again, because the server may have started in between.
      await session().catch(() =>
        refused("origin", "origin not allowed: skein origins add " + globalThis.location?.origin),
      );
    }
  };

  /** The network is back, or the page is visible: tries at once, but not more than once a second. */
  const wake = () => {
    if (globalThis.document?.hidden) return;
    if (socket) {
      if (now() - heard >= limit) drop();
    } else if (link.state === "reconnecting" && now() - tried >= 1000) {
      open();
    }
  };
  const off = new AbortController();
  globalThis.addEventListener?.("online", wake, off);
  globalThis.document?.addEventListener("visibilitychange", wake, off);

  return {
    open,
    send,
    set,
    pause,
    get link() {
      return link;
    },
    get ready() {
      return ready;
    },
    retry(next?: string) {
      if (link.state === "closed" || (ready && !next)) return;
      token = next ?? token;
      tries = up = 0;
      leave();
      set("reconnecting");
      open();
    },
    close() {
      off.abort();
      leave();
      set("closed");
    },
  };
}
