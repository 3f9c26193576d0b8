// The connection: what one link carries is given to the chats, and to the list if there is one.

import { createCalls, type Done } from "./calls.ts";
import { createChat, type OwnChat } from "./chat.ts";
import { SkeinError } from "./errors.ts";
import { createLink } from "./link.ts";
import type { Message } from "./reducer.ts";
import { memory } from "./stores.ts";
import type { AnyMessage, Link, Options, OwnStore, SkeinCore, Store } from "./types.ts";

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
  /** A message of the server. `missed`: it comes late, from the catalog. */
  take(message: Message, missed?: boolean): void;
  /** Whether it shows what the server has. */
  settled(): boolean;
}

/** What a part needs. */
export interface Core extends SkeinCore {
  readonly ready: boolean;
  readonly store: Store & Partial<OwnStore>;
  parts: Set<Part>;
  ask(method: string, params: unknown, done: Done): void;
  send(message: object): number;
  /** Runs after the `attempt`-th pause. */
  retryLater(run: () => void, attempt: number, least?: number): void;
  settle(): void;
  /** The open chats that have an id. */
  chats: Map<string, OwnChat>;
}

/** Calls listeners, each on its own: one that throws disturbs nobody. */
export function tell<T extends unknown[]>(listeners: Iterable<(...values: T) => void>, ...values: T): void {
  for (const listener of [...listeners]) {
    try {
      listener(...values);
    } catch (error) {
      console.warn(error);
    }
  }
}

/** Connects without the list of threads. */
export const connect: (options: Options) => SkeinCore = (options) => createCore(options);

export function createCore(options: Options): Core {
  const chats = new Map<string, OwnChat>();
  const parts = new Set<Part>();
  const listeners = new Map<string, Set<(params: never, message: AnyMessage) => void>>();
  const linkListeners = new Set<(link: Link) => void>();
  const waiting: ((error?: SkeinError) => void)[] = [];

  const link = createLink(options, {
    ready() {
      link.set("catchingUp");
      for (const part of [...parts]) part.up();
      for (const call of waiting.splice(0)) call();
      core.settle();
    },
    take(message: Message & AnyMessage) {
      if (message.method) {
        for (const part of [...parts]) part.take(message);
        for (const key of [message.method, "*"]) tell(listeners.get(key) ?? [], message.params as never, message);
      } else calls.answer(message);
      core.settle();
    },
    lost: (code) => calls.lose(code),
    changed() {
      const error = ended();
      if (error) for (const call of waiting.splice(0)) call(error);
      for (const part of [...parts]) part.down();
      tell(linkListeners, link.link);
    },
  });
  const calls = createCalls(link.send);
  const ended = (): SkeinError | undefined => {
    const { state, message } = link.link;
    return state === "refused" || state === "closed" ? new SkeinError(state, message) : undefined;
  };

  const { storage = memory() } = options;
  const store: Core["store"] = storage.open?.() ?? storage;

  const core: Core = {
    parts,
    store,
    get ready() {
      return link.ready;
    },
    get link() {
      return link.link;
    },
    ask: calls.ask,
    send: link.send,
    retryLater: (run, attempt, least) => void setTimeout(run, link.pause(attempt, least)),
    settle() {
      if (link.link.state === "catchingUp" && [...parts].every((part) => part.settled())) link.set("live");
    },
    chats,
    call: (method, params) =>
      new Promise((resolve, reject) => {
        const done: Done = (error, result) => (error ? reject(error) : resolve(result as never));
        const run = (error?: SkeinError) => (error ? done(error) : calls.ask(method, params, done));
        const error = ended();
        if (link.ready || error) run(error);
        else waiting.push(run);
      }),
    notify: (method, params) => void link.send({ method, params }),
    on(method: string, listener: (params: never, message: AnyMessage) => void) {
      const known = listeners.get(method) ?? new Set();
      listeners.set(method, known.add(listener));
      return () => void known.delete(listener);
    },
    thread: (id) => Object.assign(chats.get(id!) ?? createChat(core, id), { owned: true }),
    watchLink(listener) {
      linkListeners.add(listener);
      listener(link.link);
      return () => void linkListeners.delete(listener);
    },
    retry: link.retry,
    close() {
      link.close();
      store.close?.();
      parts.clear();
    },
  };
  store.abandoned?.(core);
  link.open();
  return core;
}
