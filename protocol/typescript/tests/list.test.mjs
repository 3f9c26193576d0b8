import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOCH, settle, thread, THREAD, world } from "./fake.mjs";

const place = (catalogSeq, catalogEpoch = EPOCH) => ({ catalogSeq, catalogEpoch });
const change = (method, catalogSeq, more = {}) => ({ method, params: { threadId: THREAD, ...more, skein: place(catalogSeq) }, emittedAtMs: 0 });
const opened = async (options, data = [thread()], nextCursor = null) => {
  const at = world();
  const list = at.skein.threads(options);
  await at.socket.up();
  await at.socket.answer("thread/list", { data, nextCursor, readStates: null, skein: place(4) });
  return { at, list, ids: () => list.view.rows.map((row) => row.id) };
};

test("a change shows at once, and its thread is read", async () => {
  const { at, list } = await opened();
  await at.socket.give(change("thread/status/changed", 5, { status: { type: "active", activeFlags: [] } }));
  assert.equal(list.view.rows[0].status.type, "active");
  await at.socket.answer("thread/read", { thread: thread({ preview: "hello", updatedAt: 9 }), readState: null });
  assert.equal(list.view.rows[0].preview, "hello");
});

test("a read that was lost with the link is made again", async () => {
  const { at, list } = await opened();
  await at.socket.give(change("thread/name/updated", 5, { threadName: "a name" }));
  assert.equal(at.socket.asked("thread/read").length, 1);
  await at.socket.end();
  await at.pass(1000);
  await at.socket.up();
  assert.deepEqual(at.socket.asked("skein/catalog/resume")[0].params, { after: 5, catalogEpoch: EPOCH });
  await at.socket.answer("skein/catalog/resume", { ...place(5), tooOld: false, changes: [] });
  await at.socket.answer("thread/read", { thread: thread({ name: "a name", preview: "new" }) });
  assert.deepEqual(list.view.rows.map((row) => [row.name, row.preview]), [["a name", "new"]]);
});

test("changes that were missed come from the catalog; an old number lists again", async () => {
  const { at, list, ids } = await opened();
  await at.socket.end();
  await at.pass(1000);
  await at.socket.up();
  await at.socket.answer("skein/catalog/resume", { ...place(6), tooOld: false, changes: [change("thread/deleted", 5)] });
  assert.deepEqual(ids(), []);
  await at.socket.end();
  await at.pass(1000);
  await at.socket.up();
  await at.socket.answer("skein/catalog/resume", { ...place(0, "new"), tooOld: true, changes: [] });
  await at.socket.answer("thread/list", { data: [thread({ id: "b" })], nextCursor: null, skein: place(0, "new") });
  assert.deepEqual([ids(), list.view.loading], [["b"], false]);
});

test("new threads come in, archived and deleted ones leave", async () => {
  const { at, ids } = await opened();
  await at.socket.give({ method: "thread/started", params: { thread: thread({ id: "n" }), skein: place(5) } });
  await at.socket.answer("thread/read", { thread: thread({ id: "n", updatedAt: 9 }) });
  assert.deepEqual(ids(), ["n", THREAD]);
  await at.socket.give(change("thread/archived", 6));
  assert.deepEqual(ids(), ["n"]);
  await at.socket.give(change("thread/status/changed", 7, { status: { type: "idle" } }));
  await at.socket.answer("thread/read", { thread: thread({ path: `/home/shown/archived_sessions/00/${THREAD}.jsonl` }) });
  assert.deepEqual(ids(), ["n"], "an archived thread does not come back by its status");
  await at.socket.give(change("thread/unarchived", 8));
  await at.socket.answer("thread/read", { thread: thread() });
  assert.deepEqual(ids(), ["n", THREAD]);
  await at.socket.give({ ...change("thread/deleted", 9), params: { threadId: "n", skein: place(9) } });
  assert.deepEqual(ids(), [THREAD]);
});

test("a thread that waits for an answer stays active when it is unloaded", async () => {
  const { at, list } = await opened();
  const status = { type: "active", activeFlags: ["waitingOnApproval"] };
  await at.socket.give(change("thread/status/changed", 5, { status }));
  await at.socket.answer("thread/read", { thread: thread({ status }) });
  await at.socket.give(change("thread/closed", 6));
  assert.deepEqual(list.view.rows[0].status, status);
});

test("the questions that wait in all threads are counted, also behind the page and after a lost link", async () => {
  const needsYou = (threads) => ({ threads, questions: threads });
  const at = world();
  const list = at.skein.threads({ limit: 1 });
  await at.socket.up();
  const skein = { ...place(4), needsYou: needsYou(3) };
  await at.socket.answer("thread/list", { data: [thread()], nextCursor: "c1", readStates: null, skein });
  assert.equal(list.view.needsYou.threads, 3);
  await at.socket.give(change("skein/questions/changed", 5, { open: [], needsYou: needsYou(2) }));
  await at.socket.answer("thread/read", { thread: thread() });
  assert.equal(list.view.needsYou.threads, 2);
  await at.socket.end();
  await at.pass(1000);
  await at.socket.up();
  await at.socket.answer("skein/catalog/resume", { ...place(6), tooOld: false, changes: [], needsYou: needsYou(0) });
  assert.equal(list.view.needsYou.threads, 0);
});

test("a thread that leaves while it is being read stays away", async () => {
  for (const method of ["thread/archived", "thread/deleted"]) {
    const { at, ids } = await opened();
    await at.socket.give(change("thread/status/changed", 5, { status: { type: "idle" } }));
    await at.socket.give(change(method, 6));
    // The server has read this before the thread left.
    await at.socket.answer("thread/read", { thread: thread() });
    assert.deepEqual(ids(), [], method);
    await at.socket.give({ method: "thread/started", params: { thread: thread({ id: "n" }), skein: place(7) } });
    await at.socket.answer("thread/read", { thread: thread({ id: "n" }) });
    assert.deepEqual(ids(), ["n"], "the next one is read");
  }
});

test("pages, and a thread below the last row", async () => {
  const { at, list, ids } = await opened({ limit: 1 }, [thread({ id: "a", updatedAt: 9 })], "c1");
  assert.equal(list.view.hasMore, true);
  await at.socket.give({ ...change("thread/closed", 5), params: { threadId: "z", skein: place(5) } });
  await at.socket.answer("thread/read", { thread: thread({ id: "z", updatedAt: 1 }) });
  assert.deepEqual(ids(), ["a"]);
  list.more();
  await at.socket.answer("thread/list", { data: [thread({ id: "a" }), thread({ id: "b" })], nextCursor: null });
  assert.deepEqual([ids(), list.view.hasMore], [["a", "b"], false]);
});

test("a search asks the server, shows snippets, and goes back to the list", async () => {
  const { at, list } = await opened();
  list.search("  needle ");
  assert.equal(at.socket.asked("thread/search")[0].params.searchTerm, "needle");
  list.search("needle two");
  await at.socket.give({ id: at.socket.asked("thread/search")[0].id, result: { data: [{ thread: thread({ id: "old" }), snippet: "" }] } });
  assert.deepEqual(list.view.rows, [], "an answer to an earlier search is void");
  await at.socket.answer("thread/search", { data: [{ thread: thread(), snippet: "a needle" }], nextCursor: null });
  assert.equal(list.view.rows[0].snippet, "a needle");
  await at.socket.give(change("thread/name/updated", 5, { threadName: "x" }));
  await at.pass(500);
  assert.equal(at.socket.asked("thread/search").length, 3);
  list.search("");
  await at.socket.answer("thread/list", { data: [thread()], nextCursor: null, skein: place(6) });
  assert.equal(list.view.rows.length, 1);
  list.close();
  await settle();
});

test("an error of the list is shown", async () => {
  const at = world();
  const list = at.skein.threads();
  await at.socket.up();
  await at.socket.refuse("thread/list", { code: -32603, message: "no index", data: { reason: "indexUnavailable" } });
  assert.deepEqual([list.view.error.reason, list.view.loading, at.skein.link.state], ["indexUnavailable", false, "live"]);
});
