import assert from "node:assert/strict";
import { test } from "node:test";
import { event, memory, message, settle, thread, THREAD, turn, webStorage, world } from "./fake.mjs";

const reconnect = async (at) => {
  await at.socket.end();
  await at.pass(at.skein.link.nextTry - Date.now());
  await at.socket.up();
};
const userMessage = (clientId) => ({ type: "userMessage", id: "u1", clientId, content: [] });
const question = (id) => ({ ...event("item/tool/requestUserInput", { turnId: "t1", itemId: "i1", questions: [] }), id });

test("a chat comes back with its number and keeps its view", async () => {
  const at = world();
  const chat = await at.chat();
  await at.socket.give(event("turn/started", { turn: turn("t1") }, 3));
  await reconnect(at);
  assert.deepEqual(at.socket.asked("thread/resume")[0].params.skein, { afterSeq: 3, epoch: 1 });
  assert.equal(at.skein.link.state, "catchingUp");
  await at.socket.give(event("turn/started", { turn: turn("of the old subscription") }, 9));
  await at.socket.answer("thread/resume", { thread: thread(), skein: { seq: 3, epoch: 1, replayTo: 5, pendingRequests: [] } });
  assert.equal(at.skein.link.state, "catchingUp");
  await at.socket.give(event("item/started", { turnId: "t1", item: message("i1", "") }, 5));
  assert.equal(at.skein.link.state, "live");
  assert.deepEqual(chat.view.turns.map((each) => [each.id, each.items.length]), [["t1", 1]]);
});

test("the view and its number are stored together", async () => {
  const storage = memory();
  const at = world({ storage });
  await at.chat();
  await at.socket.give(event("turn/started", { turn: turn("t1") }, 3));
  await at.pass(1000);
  const { state } = storage.get(`thread.${THREAD}`);
  assert.deepEqual([state.at, state.turns.length], [{ seq: 3, epoch: 1 }, 1]);
  const again = world({ storage });
  const chat = again.skein.thread(THREAD);
  await settle();
  assert.equal(chat.view.turns.length, 1, "shown before the link is there");
  await again.socket.up();
  assert.deepEqual(again.socket.asked("thread/resume")[0].params.skein, { afterSeq: 3, epoch: 1 });
});

test("junk in the storage, and a storage that fails, cost nothing but what is stored", async () => {
  const warn = console.warn;
  console.warn = () => {};
  const broken = { getItem: () => "{", setItem: () => assert.fail("full"), removeItem() {} };
  for (const storage of [webStorage(broken), { get: () => ({ v: 1, state: { id: "other" } }), set() {}, delete() {} }]) {
    const at = world({ storage });
    const chat = await at.chat();
    chat.send("hello");
    await settle();
    assert.equal(at.socket.asked("turn/start").length, 1);
  }
  console.warn = warn;
});

test("a message that was not confirmed is sent again with the same id", async () => {
  const at = world();
  const chat = await at.chat();
  const sent = chat.send("hello");
  await settle();
  const first = at.socket.asked("turn/start")[0].params;
  assert.deepEqual([first.input, chat.view.unsent.length], [[{ type: "text", text: "hello" }], 1]);
  await reconnect(at);
  await at.socket.answer("thread/resume", { thread: thread(), skein: { seq: 2, epoch: 1, replayTo: 2, pendingRequests: [] } });
  const second = at.socket.asked("turn/start")[0].params;
  assert.equal(second.clientUserMessageId, first.clientUserMessageId);
  await at.socket.answer("turn/start", { turn: turn("t1") });
  assert.equal(await sent, "t1");
  assert.equal(chat.view.unsent.length, 1, "until the thread shows it");
  await at.socket.give(event("turn/started", { turn: turn("t1") }, 3));
  await at.socket.give(event("item/completed", { turnId: "t1", item: userMessage(first.clientUserMessageId) }, 4));
  assert.deepEqual(chat.view.unsent, []);
});

test("a message that the replay shows is not sent again", async () => {
  const at = world();
  const chat = await at.chat();
  const sent = chat.send("hello");
  await settle();
  const id = at.socket.asked("turn/start")[0].params.clientUserMessageId;
  await reconnect(at);
  const shown = [turn("t1", { items: [userMessage(id)] })];
  await at.socket.answer("thread/resume", { thread: thread({ turns: shown }), skein: { seq: 9, epoch: 2, pendingRequests: [], gap: { reason: "otherEpoch" } } });
  assert.equal(await sent, "t1");
  assert.deepEqual([at.socket.asked("turn/start").length, chat.view.unsent, chat.view.gaps], [0, [], true]);
});

test("messages written offline survive a reload, and go out in order", async () => {
  const storage = memory();
  const at = world({ storage });
  const chat = at.skein.thread(THREAD);
  await settle();
  chat.send("one");
  chat.send("two");
  await settle();
  const again = world({ storage });
  const other = await again.chat();
  assert.deepEqual(other.view.unsent.map((each) => each.input[0].text), ["one", "two"]);
  assert.equal(again.socket.asked("turn/start").length, 1);
  await again.socket.answer("turn/start", { turn: turn("t1") });
  assert.deepEqual(again.socket.asked("turn/start").map((each) => each.params.input[0].text), ["one", "two"]);
});

test("an overloaded server gets the message later, a refusal stays in the view", async () => {
  const at = world();
  const chat = await at.chat();
  const sent = chat.send("hello");
  await settle();
  await at.socket.refuse("turn/start", { code: -32001, message: "later", data: { reason: "busy", retryAfterMs: 3000 } });
  await at.pass(2999);
  assert.equal(at.socket.asked("turn/start").length, 1);
  await at.pass(1);
  assert.equal(at.socket.asked("turn/start").length, 2);
  await at.socket.refuse("turn/start", { code: -32602, message: "no", data: { reason: "invalidParams", hint: "do this" } });
  await assert.rejects(sent, { reason: "invalidParams", todo: "do this" });
  const [{ id, error }] = chat.view.unsent;
  assert.equal(error.reason, "invalidParams");
  chat.resend(id);
  await settle();
  assert.equal(at.socket.asked("turn/start").at(-1).params.clientUserMessageId, id);
  chat.discard(id);
  assert.deepEqual(chat.view.unsent, []);
});

test("a new chat starts its thread at the first message, and again where the server forgot it", async () => {
  const at = world();
  const chat = at.skein.thread();
  await at.socket.up();
  assert.equal(at.skein.link.state, "live");
  chat.send("hello");
  await at.socket.answer("thread/start", { thread: thread(), skein: { seq: 2, epoch: 1 }, model: "echo" });
  assert.deepEqual([chat.id, chat.view.model, at.skein.thread(THREAD) === chat], [THREAD, "echo", true]);
  await reconnect(at);
  await at.socket.refuse("thread/resume", { code: -32600, message: "none", data: { reason: "threadNotFound" } });
  await at.pass(500);
  await at.socket.answer("thread/start", { thread: thread({ id: "another" }), skein: { seq: 2, epoch: 1 } });
  assert.equal(chat.id, "another");
  assert.equal(at.socket.asked("turn/start")[0].params.threadId, "another");
});

test("a question is handed out once, and its answer is sent until it is confirmed", async () => {
  const at = world();
  const chat = await at.chat({ seq: 2, epoch: 1, pendingRequests: [7] }, { turns: [turn("t1")] });
  const asked = [];
  chat.onQuestion = async (each) => {
    asked.push(each.id);
    return { answers: {} };
  };
  await at.socket.give(question(7));
  await at.socket.give(question(7));
  assert.deepEqual(asked, [7]);
  const answers = () => at.socket.sent.filter((each) => each.id === 7 && each.result);
  assert.equal(answers().length, 2, "the second one repeats the answer");
  assert.equal(chat.view.questions[0].answered, true);
  await reconnect(at);
  await at.socket.answer("thread/resume", { thread: thread(), skein: { seq: 2, epoch: 1, replayTo: 2, pendingRequests: [7] } });
  await at.socket.give(question(7));
  assert.deepEqual([asked, answers().length], [[7], 1]);
  await at.socket.give(event("serverRequest/resolved", { requestId: 7 }));
  assert.deepEqual(chat.view.questions, []);
});

test("questions that were answered elsewhere, or whose turn ended, disappear", async () => {
  const at = world();
  const chat = await at.chat(undefined, { turns: [turn("t1")] });
  await at.socket.give(question(7));
  await at.socket.give(question(8));
  await at.socket.give(event("serverRequest/resolved", { requestId: 7 }));
  assert.deepEqual(chat.view.questions.map((each) => each.id), [8]);
  await at.socket.give(event("turn/completed", { turn: turn("t1", { status: "interrupted" }) }, 3));
  assert.deepEqual(chat.view.questions, []);
});

test("a question that nobody here can answer is refused", async () => {
  const at = world();
  const chat = await at.chat(undefined, { turns: [turn("t1")] });
  await at.socket.give({ ...event("item/tool/call", { turnId: "t1", tool: "t", callId: "c", arguments: {} }), id: 7 });
  await at.socket.give({ ...event("item/dance", { turnId: "t1" }), id: 8 });
  assert.deepEqual(at.socket.sent.filter((each) => each.error).map((each) => each.id), [7, 8]);
  chat.onQuestion = () => {
    throw new Error("not now");
  };
  await at.socket.give(question(9));
  assert.equal(at.socket.sent.at(-1).error.message, "not now");
});

const archived = thread({ path: `/home/shown/archived_sessions/00/${THREAD}.jsonl` });

test("a thread that comes back from the archive is asked for again, whatever is on its way", async () => {
  const at = world();
  const chat = await at.chat();
  await at.socket.give(event("thread/archived", {}));
  const [first] = at.socket.asked("thread/resume").slice(-1);
  await at.socket.give(event("thread/unarchived", {}));
  const resumes = at.socket.asked("thread/resume");
  assert.deepEqual(resumes.at(-1).params.skein, { afterSeq: 2, epoch: 1 });
  const skein = { seq: 2, epoch: 1, replayTo: 2, pendingRequests: [] };
  await at.socket.give({ id: first.id, result: { thread: archived, skein } });
  assert.equal(chat.view.archived, undefined, "the older answer does not count");
  await at.socket.answer("thread/resume", { thread: thread(), skein });
  await at.socket.give(question(7));
  assert.equal(chat.view.questions.length, 1);
});

test("a page that was away learns from the answer whether its thread is archived", async () => {
  const at = world();
  const chat = await at.chat();
  const skein = { seq: 2, epoch: 1, replayTo: 2, pendingRequests: [] };
  await at.socket.give(event("thread/archived", {}));
  await at.socket.answer("thread/resume", { thread: archived, skein });
  await reconnect(at);
  assert.equal(at.socket.asked("thread/resume").at(-1).params.skein.observe, true);
  await at.socket.answer("thread/resume", { thread: thread(), skein });
  assert.deepEqual(at.socket.asked("thread/resume").at(-1).params.skein, { afterSeq: 2, epoch: 1 });
  assert.equal(chat.view.archived, undefined);
  await at.socket.answer("thread/resume", { thread: thread(), skein });
  await reconnect(at);
  await at.socket.answer("thread/resume", { thread: archived, skein });
  assert.equal(chat.view.archived, true);
});

test("a deleted thread ends its chat; an archived one is observed until something is sent", async () => {
  const at = world();
  const chat = await at.chat();
  await at.socket.give(event("thread/archived", {}));
  assert.deepEqual(at.socket.asked("thread/resume").at(-1).params.skein, { afterSeq: 2, epoch: 1, observe: true });
  await at.socket.answer("thread/resume", { thread: archived, skein: { seq: 2, epoch: 1, replayTo: 2, pendingRequests: [] } });
  assert.equal(chat.view.archived, true);
  chat.send("hello");
  assert.deepEqual(at.socket.asked("thread/resume").at(-1).params.skein, { afterSeq: 2, epoch: 1 });
  await at.socket.give(event("thread/deleted", {}));
  assert.deepEqual([chat.view.deleted, chat.view.error.reason, chat.view.unsent[0].error.reason], [true, "deleted", "deleted"]);
});

test("a server whose numbers contradict themselves is not asked faster than the backoff", async () => {
  const at = world();
  await at.chat();
  for (let round = 0; round < 5; round++) {
    const before = at.socket.asked("thread/resume").length;
    await at.socket.give(event("turn/started", { turn: turn("t") }, 9 + round, 5 + round));
    assert.equal(at.socket.asked("thread/resume").length, before);
    await at.pass(199);
    assert.equal(at.socket.asked("thread/resume").length, before);
    await at.pass(20_000);
    await at.socket.give({ method: "skein/heartbeat", params: {} });
    assert.deepEqual(at.socket.asked("thread/resume").at(-1).params.skein, {});
    await at.socket.answer("thread/resume", { thread: thread(), skein: { seq: 2, epoch: 1, pendingRequests: [] } });
  }
});

test("older turns, steering, interrupting and closing", async () => {
  const at = world();
  const chat = await at.chat({ seq: 2, epoch: 1, pendingRequests: [], olderTurns: "c1" }, { turns: [turn("t2")] });
  const history = chat.history();
  const asked = await at.socket.answer("thread/turns/list", { data: [turn("t1")], nextCursor: null });
  assert.equal(asked.params.cursor, "c1");
  assert.equal(await history, false);
  assert.deepEqual(chat.view.turns.map((each) => each.id), ["t1", "t2"]);
  chat.interrupt();
  assert.equal(at.socket.asked("turn/interrupt")[0].params.turnId, "t2");
  chat.steer("more");
  assert.equal(at.socket.asked("turn/steer")[0].params.expectedTurnId, "t2");
  chat.close();
  assert.equal(at.socket.asked("thread/unsubscribe").length, 1);
  assert.notEqual(at.skein.thread(THREAD), chat);
});

test("views are new objects for each change, and the same without one", async () => {
  const at = world();
  const chat = await at.chat();
  const views = [];
  const stop = chat.watch((view) => views.push(view));
  assert.equal(chat.view, chat.view);
  await at.socket.give(event("thread/name/updated", { threadName: "a name" }, 3));
  stop();
  await at.socket.give(event("thread/name/updated", { threadName: "another" }, 4));
  assert.deepEqual(views.map((view) => view.name), [null, "a name"]);
});
