// Where views and unsent messages are kept. A view and its number are one value, so they never differ.

import type { Store } from "./types.ts";

/** Keeps everything until the program ends. */
export function memory(): Store {
  const kept = new Map<string, unknown>();
  return {
    get: (key) => kept.get(key),
    set: (key, value) => void kept.set(key, value),
    delete: (key) => void kept.delete(key),
  };
}

/** Keeps everything in `localStorage` or `sessionStorage`, under keys that begin with `prefix`. */
export function webStorage(storage: Storage, prefix = "skein."): Store {
  return {
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
  };
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
  return {
    get: (key) => run("readonly", (kept) => kept.get(key)),
    set: (key, value) => run("readwrite", (kept) => kept.put(value, key)),
    delete: (key) => run("readwrite", (kept) => kept.delete(key)),
  };
}
