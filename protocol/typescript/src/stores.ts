// Where views and unsent messages are kept. A view and its number are one value, so they never differ.

import { newId } from "./ids.ts";
import { createChat } from "./chat.ts";
import type { Core } from "./core.ts";
import type { OwnStore, Store } from "./types.ts";

/** Keeps everything until the program ends. */
export const memory = (): Store => new Map<string, unknown>();

/** Unsent messages have keys that begin so. */
const UNSENT = "unsent.";
/** Without locks a client that renews nothing for this long has ended, in milliseconds. */
const LEASE = 15_000;
/** Pause between two looks for what others have left. */
const LOOK = 10_000;

/** A storage that the tabs of an origin share. */
type Shared = Store & { keys(prefix: string): string[] | Promise<string[]> };

/** Has the chat of a thread send what a client has left. A thread without a chat gets one until its messages are sent, but not
 * without a link: another client may have one. Resolves with `false` if nobody has taken the messages. */
async function adopt(core: Core, threadId: string, kept: unknown): Promise<unknown> {
  const known = core.chats.get(threadId);
  if (!known && !core.ready) return false;
  const chat = known ?? createChat(core, threadId);
  const taken = await chat.adopt(kept);
  if (!known)
    chat.watch(({ unsent }) => {
      if (!chat.owned && unsent.every((one) => one.error)) chat.close();
    });
  return taken;
}

/** Gives each client keys of its own for unsent messages. It holds a lock for each of these keys, so that others learn of its
 * end. Pages without TLS have no locks: there the client renews a lease. */
function shared(base: Shared): Store {
  const open = (): OwnStore => {
    const me = newId();
    const locks = globalThis.navigator?.locks;
    const mine = (key: string) => (key.startsWith(UNSENT) ? `${key}.${me}` : key);
    /** For each key the way to let go of it. */
    const held = new Map<string, () => unknown>();
    /** Takes up what others leave. */
    let heir: Core | undefined;
    /** Keys of others whose end this client waits for. */
    const awaited = new Set<string>();
    let closed = false;

    const hold = (key: string) => {
      if (key === mine(key) || held.has(key) || closed) return;
      const name = mine(key);
      if (locks) {
        const end = new Promise<void>((resolve) => held.set(key, resolve));
        void locks.request(`skein.${name}`, () => end).catch(console.warn);
      } else {
        const renew = async () => base.set(`lease.${name}`, Date.now() + LEASE);
        const timer = setInterval(() => renew().catch(console.warn), LEASE / 3);
        held.set(key, () => {
          clearInterval(timer);
          return base.delete(`lease.${name}`);
        });
        return renew();
      }
      return;
    };
    const letGo = () => {
      for (const end of held.values()) void end();
      held.clear();
    };
    /** Runs once the client of a key has ended. */
    const afterEnd = async (name: string, run: () => Promise<void>): Promise<unknown> => {
      if (locks) return locks.request(`skein.${name}`, run);
      const left = (Number(await base.get(`lease.${name}`)) || 0) - Date.now();
      if (left > 0) return void setTimeout(() => afterEnd(name, run).catch(console.warn), left);
      await base.delete(`lease.${name}`);
      return run();
    };
    const look = async () => {
      if (!heir) return;
      for (const name of await base.keys(UNSENT)) {
        const end = name.lastIndexOf(".");
        if (name.slice(end + 1) === me || awaited.has(name)) continue;
        awaited.add(name);
        const run = async () => {
          try {
            const value = await base.get(name);
            const threadId = name.slice(UNSENT.length, end);
            if (value !== undefined && (await adopt(heir!, threadId, value)) !== false) await base.delete(name);
          } finally {
            awaited.delete(name);
          }
        };
        afterEnd(name, run).catch(console.warn);
      }
    };
    const seek = () => void look().catch(console.warn);
    const timer = setInterval(seek, LOOK);
    if (!locks) globalThis.addEventListener?.("pagehide", letGo);

    return {
      get(key) {
        if (key !== mine(key)) seek();
        return base.get(mine(key));
      },
      // Both begin now, so that a `delete` right after finds them.
      set: (key, value) => Promise.all([hold(key), base.set(mine(key), value)]),
      async delete(key) {
        const end = held.get(key);
        held.delete(key);
        try {
          await base.delete(mine(key));
        } finally {
          await end?.();
        }
      },
      abandoned(core) {
        heir = core;
        seek();
      },
      close() {
        closed = true;
        clearInterval(timer);
        globalThis.removeEventListener?.("pagehide", letGo);
        letGo();
      },
    };
  };
  const { get, set } = base;
  return { get, set, delete: base.delete, open };
}

/** Keeps everything in `localStorage` or `sessionStorage`, under keys that begin with `prefix`. */
export function webStorage(storage: Storage, prefix = "skein."): Store {
  return shared({
    keys: (start) =>
      Array.from({ length: storage.length }, (_, at) => storage.key(at)!)
        .filter((key) => key.startsWith(prefix + start))
        .map((key) => key.slice(prefix.length)),
    get(key) {
      const text = storage.getItem(prefix + key);
      return text === null ? undefined : JSON.parse(text);
    },
    set(key, value) {
      try {
        storage.setItem(prefix + key, JSON.stringify(value));
      } catch {
        // The storage is full. An older view with its number would be right, too, but takes the same room.
        storage.removeItem(prefix + key);
      }
    },
    delete: (key) => storage.removeItem(prefix + key),
  });
}

/** Keeps everything in a database of the browser: for long threads. */
export function indexedDb(name = "skein"): Store {
  const opened = new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("kept");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  // Each use reports the failure; this one only keeps it from being reported as unhandled.
  opened.catch(() => {});
  const run = async (mode: IDBTransactionMode, use: (kept: IDBObjectStore) => IDBRequest) => {
    const request = use((await opened).transaction("kept", mode).objectStore("kept"));
    return new Promise<unknown>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  };
  return shared({
    keys: (start) => run("readonly", (kept) => kept.getAllKeys(IDBKeyRange.bound(start, `${start}\uffff`))) as Promise<string[]>,
    get: (key) => run("readonly", (kept) => kept.get(key)),
    set: (key, value) => run("readwrite", (kept) => kept.put(value, key)),
    delete: (key) => run("readwrite", (kept) => kept.delete(key)),
  });
}
