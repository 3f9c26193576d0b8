// The link to the server: handshake, watchdog, backoff, and the way to learn why a handshake is refused.

import type { Link, LinkState, Options } from "./types.ts";
import { wireError } from "./errors.ts";

/** Bounds of the pause before a try, in milliseconds. The real pause is random between them ("full jitter"). */
const SHORTEST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;
/** A handshake has this long. */
const HANDSHAKE = 10_000;
/** A link that lived this long was good: the pauses begin again. */
const GOOD = 5_000;
/** `initialize` is the first request, so its id is never used by another one. */
const FIRST = 0;

type Hooks = {
  /** The server has answered `initialize`. */
  ready(): void;
  message(message: never): void;
  lost(code: number | undefined): void;
  changed(): void;
};

type Socket = WebSocket;

export function createLink(options: Options, hooks: Hooks) {
  const { url, clientInfo = { name: "skein-client", version: "0.1.0" }, now = Date.now, random = Math.random } = options;
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  const ask = options.fetch ?? ((input: string, init: RequestInit) => globalThis.fetch(input, init));
  const later = options.setTimeout ?? ((run, ms) => globalThis.setTimeout(run, ms));
  const cancel = options.clearTimeout ?? ((timer) => globalThis.clearTimeout(timer));
  let { token } = options;
  let link: Link = { state: "connecting", since: now() };
  let socket: Socket | undefined;
  let ready = false;
  let tries = 0;
  let tried = 0;
  let up = 0;
  let heard = 0;
  let limit = HANDSHAKE;
  let timer: unknown;

  const set = (state: LinkState, more?: object) => {
    link = { state, since: state === link.state ? link.since : now(), ...more };
    hooks.changed();
  };
  const wait = (run: () => void, ms: number) => {
    cancel(timer as never);
    timer = later(run, ms);
  };
  const pause = (attempt: number) =>
    Math.max(SHORTEST_PAUSE, random() * Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(attempt, 10)));

  /** Lets go of the socket. */
  const leave = (code?: number) => {
    const old = socket;
    socket = undefined;
    ready = false;
    cancel(timer as never);
    if (!old) return;
    old.onopen = old.onmessage = old.onclose = null;
    try {
      old.close();
    } catch {
      // It is closed already.
    }
    hooks.lost(code);
  };
  const end = (state: LinkState, more?: object) => {
    leave();
    set(state, more);
  };
  /** The link is gone: tries again after a pause, at least `least` long. */
  const drop = (code?: number, least = 0) => {
    if (up && now() - up > GOOD) tries = 0;
    const refused = !up || code === 1008;
    up = 0;
    leave(code);
    const ms = Math.max(least, pause(++tries));
    set("reconnecting", { nextTry: now() + ms });
    wait(open, ms);
    if (refused) void probe();
  };
  const watch = () => {
    const quiet = now() - heard;
    if (quiet >= limit) drop();
    else if (limit < Infinity) wait(watch, limit - quiet);
  };
  const hello = (message: { id?: unknown; result?: never; error?: object }) => {
    if (message.id !== FIRST) return;
    if (message.error) {
      const error = wireError(message.error);
      if (error.passing) drop(undefined, error.retryAfterMs);
      else end("refused", { reason: error.reason, message: error.message });
      return;
    }
    const granted = (message.result as { skein?: { extensions?: { [name: string]: { heartbeatMs?: number } } } } | undefined)?.skein
      ?.extensions?.["skein/events"];
    limit = granted?.heartbeatMs ? 3 * granted.heartbeatMs : Infinity;
    ready = true;
    up = now();
    send({ method: "initialized" });
    wait(watch, Math.min(limit, 2 ** 31 - 1));
    hooks.ready();
  };
  const send = (message: object | string) => {
    if (socket?.readyState === 1) socket.send(typeof message === "string" ? message : JSON.stringify(message));
  };
  const open = () => {
    cancel(timer as never);
    tried = heard = now();
    limit = HANDSHAKE;
    let mine: Socket;
    try {
      mine = new Socket(url, token ? ["skein.v1", `skein.auth.${token}`] : []);
    } catch (error) {
      return end("refused", { reason: "address", message: String(error) });
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
      let message: unknown;
      try {
        message = JSON.parse(data);
      } catch {
        return; // Garbage.
      }
      if (!message || typeof message !== "object") return;
      if (ready) hooks.message(message as never);
      else hello(message);
    };
    mine.onclose = ({ code }) => drop(code);
    mine.onerror = () => {}; // The close follows.
    return;
  };

  /** Learns why a handshake failed: a browser hides the answer. */
  const probe = async () => {
    // A program without a credential needs none, and would only be told that it has none.
    if (!token && !globalThis.location) return;
    const asked = token;
    const base = url.replace(/^ws/, "http").replace(/[?#].*$/, "").replace(/\/*$/, "/");
    const get = (path: string, init: RequestInit) => ask(base + path, { cache: "no-store", credentials: "omit", ...init });
    const session = () => get("auth/session", token ? { headers: { Authorization: `Bearer ${token}` } } : {});
    const refuse = (reason: string, message: string) => {
      if (link.state === "reconnecting" && asked === token && !ready) end("refused", { reason, message });
    };
    try {
      const answer = await session();
      if (![400, 401, 403, 421].includes(answer.status)) return;
      const body = await answer.json().catch(() => ({}));
      refuse(body.reason ?? String(answer.status), body.message ?? `the server refuses with ${answer.status}`);
    } catch {
      try {
        await get("healthz", { mode: "no-cors" });
      } catch {
        return; // Nobody is there.
      }
      // Asked again, because the server may have started in between.
      await session().catch(() =>
        refuse("origin", `the server does not allow this origin: skein origins add ${globalThis.location?.origin ?? "ORIGIN"}`),
      );
    }
  };

  /** The network is back, or the page is visible: tries at once, but not more than once a second. */
  const wake = () => {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (socket) {
      if (now() - heard >= limit) drop();
    } else if (link.state === "reconnecting" && now() - tried >= 1000) {
      open();
    }
  };
  globalThis.addEventListener?.("online", wake);
  globalThis.document?.addEventListener("visibilitychange", wake);

  return {
    open,
    send,
    set,
    pause,
    later: (run: () => void, ms: number) => later(run, ms),
    get link() {
      return link;
    },
    get ready() {
      return ready;
    },
    retry(next?: string) {
      if (link.state === "closed") return;
      if (next !== undefined) token = next;
      else if (ready) return;
      tries = up = 0;
      leave();
      set("reconnecting");
      open();
    },
    close() {
      globalThis.removeEventListener?.("online", wake);
      globalThis.document?.removeEventListener("visibilitychange", wake);
      end("closed");
    },
  };
}
