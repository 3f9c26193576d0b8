// Tabs of one origin: they share a storage, and each has its own unsent messages.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { event, settle, thread, THREAD, turn, webStorage, world } from "./fake.mjs";

/** The storage and the locks of one origin. */
class Origin {
  kept = new Map();
  /** For each name the tabs that hold or want the lock, the holder first. */
  queues = new Map();
  get length() {
    return this.kept.size;
  }
  key = (at) => [...this.kept.keys()][at] ?? null;
  getItem = (key) => this.kept.get(key) ?? null;
  setItem = (key, value) => void this.kept.set(key, String(value));
  removeItem = (key) => void this.kept.delete(key);
  /** Names of the unsent messages in the storage. */
  unsent = () => [...this.kept.keys()].filter((key) => key.startsWith("skein.unsent."));

  grant(name) {
    const [first] = this.queues.get(name);
    if (!first || first.held) return;
    first.held = true;
    void Promise.resolve()
      .then(() => !first.tab.gone && first.run())
      .finally(() => this.release(name, first));
  }
  release(name, entry) {
    const queue = this.queues.get(name);
    if (!queue.includes(entry)) return;
    queue.splice(queue.indexOf(entry), 1);
    this.grant(name);
  }
  /** Opens a tab. `end()` ends it without a word. */
  tab(options = {}) {
    const tab = { gone: false };
    if (options.locks !== false) {
      navigator.locks = {
        request: async (name, run) => {
          const entry = { tab, run };
          this.queues.set(name, [...(this.queues.get(name) ?? []), entry]);
          this.grant(name);
        },
      };
    }
    Object.assign(tab, world({ storage: webStorage(this), keep: options.keep }));
    Object.defineProperty(tab, "socket", { get: () => tab.own.at(-1) });
    tab.end = async () => {
      tab.gone = true;
      for (const [name, queue] of this.queues) for (const entry of queue.filter((each) => each.tab === tab)) this.release(name, entry);
      await settle();
    };
    return tab;
  }
}
afterEach(() => delete navigator.locks);

const texts = (chat) => chat.view.unsent.map((each) => each.input[0].text);
const sent = (tab) => tab.socket.asked("turn/start").map((each) => each.params.input[0].text);
const ids = (tab) => tab.socket.asked("turn/start").map((each) => each.params.clientUserMessageId);
const resumed = { thread: thread(), skein: { seq: 2, epoch: 1, pendingRequests: [] } };

/** A tab that shows the thread, without a link. */
const offline = async (origin, options) => {
  const tab = origin.tab(options);
  tab.shown = tab.skein.thread(THREAD);
  await settle();
  return tab;
};
const shown = async (tab) => {
  const chat = tab.skein.thread(THREAD);
  await settle();
  return chat;
};
/** A tab with a link that shows another thread. */
const elsewhere = async (origin) => {
  const tab = origin.tab({ keep: true });
  await tab.socket.up();
  await tab.pass(10_000);
  return tab;
};
const online = async (tab) => {
  const { nextTry } = tab.skein.link;
  if (nextTry) await tab.pass(nextTry - Date.now());
  await tab.socket.up();
  await tab.socket.answer("thread/resume", resumed);
};

test("two tabs keep their unsent messages apart", async () => {
  const origin = new Origin();
  const [one, two] = [await offline(origin), await offline(origin, { keep: true })];
  one.shown.send("of one");
  two.shown.send("of two");
  await settle();
  assert.equal(origin.unsent().length, 2);
  await online(two);
  await two.pass(10_000);
  assert.deepEqual([texts(two.shown), sent(two)], [["of two"], ["of two"]], "the other tab lives");
  const [id] = ids(two);
  await two.socket.answer("turn/start", { turn: turn("t1") });
  await two.socket.give(event("turn/started", { turn: turn("t1") }, 3));
  await two.socket.give(event("item/completed", { turnId: "t1", item: { type: "userMessage", id: "u", clientId: id, content: [] } }, 4));
  assert.deepEqual([texts(two.shown), origin.unsent().length], [[], 1]);
  await online(one);
  assert.deepEqual([texts(one.shown), sent(one)], [["of one"], ["of one"]]);
});

test("a tab that lives takes up the messages of one that was closed, once and with their ids", async () => {
  const origin = new Origin();
  const one = await offline(origin);
  one.shown.send("a");
  one.shown.send("b");
  await settle();
  const known = one.shown.view.unsent.map((each) => each.id);
  const [two, three] = [await offline(origin, { keep: true }), await offline(origin, { keep: true })];
  await online(two);
  await online(three);
  assert.deepEqual([sent(two), sent(three)], [[], []]);
  await one.end();
  assert.deepEqual([texts(two.shown), sent(two), texts(three.shown)], [["a", "b"], ["a"], []]);
  await two.socket.answer("turn/start", { turn: turn("t1") });
  assert.deepEqual([ids(two), origin.unsent().length], [known, 1]);
});

test("a message that was written after the other tab came is taken up, too", async () => {
  const origin = new Origin();
  const [one, two] = [await offline(origin), await offline(origin, { keep: true })];
  await online(two);
  one.shown.send("late");
  await settle();
  await two.pass(10_000);
  await one.end();
  assert.deepEqual(sent(two), ["late"]);
});

test("a tab that has begun the thread takes up the messages of one that was closed", async () => {
  const origin = new Origin();
  const two = origin.tab();
  two.shown = two.skein.thread();
  await two.socket.up();
  two.shown.send("first");
  await settle();
  await two.socket.answer("thread/start", resumed);
  await two.socket.answer("turn/start", { turn: turn("t1", { status: "completed" }) });
  const one = await offline(origin, { keep: true });
  one.shown.send("late");
  await settle();
  await two.pass(10_000);
  await one.end();
  assert.deepEqual(sent(two), ["first", "late"]);
});

test("a message that its tab has discarded is not taken up", async () => {
  const origin = new Origin();
  const [one, two] = [await offline(origin), await offline(origin, { keep: true })];
  one.shown.send("no");
  await settle();
  await online(two);
  one.shown.discard(one.shown.view.unsent[0].id);
  await one.end();
  assert.deepEqual([sent(two), texts(two.shown), origin.unsent()], [[], [], []]);
});

test("a message that is discarded at once leaves nothing", async () => {
  for (const locks of [true, false]) {
    const origin = new Origin();
    const one = await offline(origin, { locks });
    one.shown.send("no");
    one.shown.discard(one.shown.view.unsent[0].id);
    await settle();
    assert.deepEqual([...origin.kept.keys()], []);
    delete navigator.locks;
  }
});

test("a client that is closed leaves its messages to the next one of the page", async () => {
  const origin = new Origin();
  const one = await offline(origin);
  one.shown.send("hello");
  await settle();
  one.skein.close();
  const two = await offline(origin, { keep: true });
  assert.deepEqual(texts(two.shown), ["hello"]);
});

test("a tab sends what a closed one left in a thread that it does not show, and leaves the thread", async () => {
  const origin = new Origin();
  const one = await offline(origin);
  one.shown.send("a");
  one.shown.send("b");
  await settle();
  const two = await elsewhere(origin);
  await one.end();
  await two.socket.answer("thread/resume", resumed);
  for (const [at, text] of ["a", "b"].entries()) {
    assert.deepEqual([sent(two).at(-1), two.socket.asked("thread/unsubscribe").length], [text, 0]);
    const clientId = ids(two).at(-1);
    await two.socket.answer("turn/start", { turn: turn("t1") });
    await two.socket.give(event("item/completed", { turnId: "t1", item: { type: "userMessage", id: text, clientId, content: [] } }, 3 + at));
  }
  assert.deepEqual([sent(two), origin.unsent()], [["a", "b"], []]);
  assert.equal(two.socket.asked("thread/unsubscribe").length, 1);
  await two.pass(60_000);
  assert.equal(two.socket.asked("thread/resume").length, 1);
});

test("a thread that is opened while its messages are sent stays open", async () => {
  const origin = new Origin();
  const one = await offline(origin);
  one.shown.send("a");
  await settle();
  const two = await elsewhere(origin);
  await one.end();
  const chat = two.skein.thread(THREAD);
  await two.socket.answer("thread/resume", resumed);
  await two.socket.answer("turn/start", { turn: turn("t1", { status: "completed" }) });
  assert.deepEqual([texts(chat), two.socket.asked("thread/unsubscribe").length], [[], 0]);
  assert.equal(two.skein.thread(THREAD), chat);
});

test("a tab without a link leaves messages of a thread that it does not show to one that has a link", async () => {
  const origin = new Origin();
  const one = await offline(origin);
  one.shown.send("a");
  await settle();
  const two = origin.tab({ keep: true });
  await settle();
  const three = await elsewhere(origin);
  await one.end();
  await three.socket.answer("thread/resume", resumed);
  assert.deepEqual(sent(three), ["a"]);
  assert.deepEqual(two.own.length, 1);
});

test("a message that the server refuses waits for somebody who opens its thread", async () => {
  const origin = new Origin();
  const one = await offline(origin);
  one.shown.send("a");
  await settle();
  const two = await elsewhere(origin);
  await one.end();
  await two.socket.answer("thread/resume", resumed);
  await two.socket.refuse("turn/start", { code: -32600, message: "no room", data: { reason: "budget" } });
  assert.deepEqual([two.socket.asked("thread/unsubscribe").length, origin.unsent().length], [1, 1]);
  await two.pass(60_000);
  assert.equal(two.socket.asked("thread/resume").length, 1, "it is not tried again by itself");
  assert.deepEqual(texts(await shown(two)), ["a"]);
});

test("a message of a chat that was closed meanwhile is not lost", async () => {
  const origin = new Origin();
  const [one, two] = [await offline(origin), await offline(origin, { keep: true })];
  one.shown.send("hello");
  await settle();
  await online(two);
  await two.pass(10_000);
  two.shown.close();
  await one.end();
  await two.socket.answer("thread/resume", resumed);
  assert.deepEqual([sent(two), origin.unsent().length], [["hello"], 1]);
});

test("without locks a lease says that a tab lives", async () => {
  const origin = new Origin();
  const one = await offline(origin, { locks: false });
  one.shown.send("hello");
  await settle();
  const two = await offline(origin, { locks: false, keep: true });
  for (let seconds = 0; seconds < 60; seconds += 4) await two.pass(4000);
  assert.deepEqual([texts(two.shown), origin.unsent().length], [[], 1], "it renews its lease");
  one.skein.close();
  const three = await offline(origin, { locks: false, keep: true });
  assert.deepEqual(texts(three.shown), ["hello"], "a client that says goodbye has none");
});

test("a lease ends with its tab", async () => {
  const origin = new Origin();
  const one = await offline(origin, { locks: false });
  one.shown.send("hello");
  await settle();
  // A new clock: the timers of the first tab are gone.
  const two = await offline(origin, { locks: false });
  assert.deepEqual(texts(two.shown), []);
  await two.pass(20_000);
  assert.deepEqual(texts(two.shown), ["hello"]);
  assert.deepEqual(origin.unsent().length, 1);
  assert.notEqual(one.shown, two.shown);
});

test("a message whose turn ended long ago does not wait for ever", async () => {
  const origin = new Origin();
  const one = await offline(origin);
  one.shown.send("hello");
  await settle();
  await one.end();
  const two = await offline(origin);
  await online(two);
  await two.socket.answer("turn/start", { turn: turn("t1", { status: "completed" }) });
  assert.deepEqual([texts(two.shown), origin.unsent()], [[], []]);
});
