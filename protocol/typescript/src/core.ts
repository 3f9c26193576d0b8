// The connection: what one link carries is given to the chats, and to the list if there is one.

import { createCalls, type Done } from "./calls.ts";
import { createChat } from "./chat.ts";
import { SkeinError } from "./errors.ts";
import { createLink } from "./link.ts";
import type { Message } from "./reducer.ts";
import { memory } from "./stores.ts";
import type { AnyMessage, Chat, Link, Options, SkeinCore, Store } from "./types.ts";

export { SkeinError } from "./errors.ts";
export { caughtUp, emptyThread, reduce, resumed, withOlder } from "./reducer.ts";
export { indexedDb, memory, webStorage } from "./stores.ts";
export type * from "./types.ts";

/** A chat or a list: follows the link and the messages. */
export interface Part {
  /** The link is ready: nothing of the last one counts any more. */
  up(): void;
  /** The link's state has changed. */
  down(): void;
  /** A message of the server. `caught`: it was missed, and comes from the catalog. */
  take(message: Message, caught: boolean): void;
  /** The catalog does not reach back: what is known of all threads is void. */
  tooOld?(): void;
  /** Whether it shows what the server has. */
  settled(): boolean;
}

/** What a part needs. */
export interface Core extends SkeinCore {
  readonly ready: boolean;
  readonly store: Store;
  parts: Set<Part>;
  request(method: string, params: unknown, done: Done): void;
  send(message: object): void;
  /** Runs after the `attempt`-th pause. */
  retryLater(run: () => void, attempt: number, least?: number): void;
  settle(): void;
  catalog(place: unknown): void;
  /** The chat has its id. */
  adopt(id: string, chat: Chat): void;
  forget(chat: Chat): void;
}

/** Calls listeners, each on its own: one that throws disturbs nobody. */
export function tell<T extends unknown[]>(listeners: Iterable<(...values: T) => void>, ...values: T): void {
  for (const listener of [...listeners]) {
    try {
      listener(...values);
    } catch (error) {
      console.error(error);
    }
  }
}

/** Connects without the list of threads. */
export function connect(options: Options): SkeinCore {
  return createCore(options);
}

export function createCore(options: Options): Core {
  const chats = new Map<string, Chat>();
  const parts = new Set<Part>();
  const listeners = new Map<string, Set<(params: never, message: AnyMessage) => void>>();
  const linkListeners = new Set<(link: Link) => void>();
  let waiting: ((error?: SkeinError) => void)[] = [];
  let place: { seq: number; epoch: string } | undefined;

  const link = createLink(options, {
    ready() {
      const run = waiting;
      waiting = [];
      link.set("catchingUp");
      if (place) resumeCatalog(place);
      for (const part of [...parts]) part.up();
      for (const call of run) call();
      core.settle();
    },
    message(message: Message & AnyMessage) {
      if (typeof message.method !== "string") return calls.answer(message), core.settle();
      core.catalog(message.params);
      for (const part of [...parts]) part.take(message, false);
      for (const key of [message.method, "*"]) tell(listeners.get(key) ?? [], message.params as never, message);
      core.settle();
    },
    lost: (code) => calls.lose(code),
    changed() {
      const { state, reason = state, message } = link.link;
      if (state === "refused" || state === "closed") {
        const run = waiting;
        waiting = [];
        for (const call of run) call(new SkeinError(state, message ?? `the link is ${state}: ${reason}`));
      }
      for (const part of [...parts]) part.down();
      tell(linkListeners, link.link);
    },
  });
  const calls = createCalls((text) => link.send(text));

  const resumeCatalog = (from: { seq: number; epoch: string }) => {
    core.request("skein/catalog/resume", { after: from.seq, catalogEpoch: from.epoch }, (error, answer?: { [key: string]: unknown }) => {
      if (error || !answer) return;
      place = undefined;
      core.catalog({ skein: answer });
      if (answer.tooOld) for (const part of [...parts]) part.tooOld?.();
      for (const change of Array.isArray(answer.changes) ? answer.changes : []) {
        for (const part of [...parts]) part.take(change, true);
      }
    });
  };

  const core: Core = {
    parts,
    store: options.storage ?? memory(),
    get ready() {
      return link.ready;
    },
    get link() {
      return link.link;
    },
    request: (method, params, done) => calls.request(method, params, done),
    send: (message) => link.send(message),
    retryLater: (run, attempt, least = 0) => void link.later(run, Math.max(least, link.pause(attempt))),
    settle() {
      if (link.link.state === "catchingUp" && [...parts].every((part) => part.settled())) link.set("live");
    },
    catalog(params) {
      const { catalogSeq: seq, catalogEpoch: epoch } = (params as { skein?: { catalogSeq?: number; catalogEpoch?: string } })?.skein ?? {};
      if (typeof seq === "number" && epoch && (place?.epoch !== epoch || seq > place.seq)) place = { seq, epoch };
    },
    adopt: (id, chat) => void chats.set(id, chat),
    forget: (chat) => {
      for (const [id, known] of chats) if (known === chat) chats.delete(id);
    },
    call: (method, params) =>
      new Promise((resolve, reject) => {
        const run = (error?: SkeinError) =>
          error ? reject(error) : calls.request(method, params, (error, result) => (error ? reject(error) : resolve(result as never)));
        if (link.ready) return run();
        const { state, message } = link.link;
        if (state === "refused" || state === "closed") return run(new SkeinError(state, message ?? `the link is ${state}`));
        waiting.push(run);
      }),
    notify: (method, params) => link.send({ method, params }),
    on(method: string, listener: (params: never, message: AnyMessage) => void) {
      const known = listeners.get(method) ?? new Set();
      listeners.set(method, known.add(listener));
      return () => void known.delete(listener);
    },
    thread(id) {
      const known = id === undefined ? undefined : chats.get(id);
      return known ?? createChat(core, id);
    },
    watchLink(listener) {
      linkListeners.add(listener);
      tell([listener], link.link);
      return () => void linkListeners.delete(listener);
    },
    retry: (token) => link.retry(token),
    close() {
      link.close();
      parts.clear();
    },
  };
  link.open();
  return core;
}
