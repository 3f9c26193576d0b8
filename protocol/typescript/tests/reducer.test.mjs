import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyThread, event, message, reduce, resumed, thread, THREAD, turn, withOlder } from "./fake.mjs";

const whole = (turns, skein = {}) =>
  resumed(emptyThread(THREAD), { thread: thread({ turns }), skein: { seq: 2, epoch: 1, pendingRequests: [], ...skein } });
const play = (state, ...events) => events.reduce(reduce, state);
const begun = () =>
  play(
    whole([]),
    event("turn/started", { turn: turn("t1") }, 3),
    event("item/started", { turnId: "t1", item: message("i1", "") }, 4),
    event("item/agentMessage/delta", { turnId: "t1", itemId: "i1", delta: "one " }),
  );

test("events build turns and items, and the number moves with the view", () => {
  const state = begun();
  assert.equal(state.turns[0].items[0].text, "one ");
  assert.deepEqual(state.at, { seq: 4, epoch: 1 });
  const done = play(
    state,
    event("item/completed", { turnId: "t1", item: message("i1", "one two") }, 5),
    event("turn/completed", { turn: turn("t1", { status: "completed" }) }, 6),
  );
  assert.equal(done.turns[0].status, "completed");
  assert.equal(done.turns[0].items[0].text, "one two");
});

test("turns and items that are none are left out", () => {
  const state = whole([null, turn("t1", { items: [null, message("i1", "one")] }), turn("t2", { items: null }), 7]);
  assert.deepEqual(state.turns.map(({ id, items }) => [id, items.length]), [["t1", 1], ["t2", 0]]);
  const older = withOlder(state, { data: [null, turn("t0", { items: [null] })], nextCursor: null });
  assert.deepEqual(older.turns.map(({ id, items }) => [id, items.length]), [["t0", 0], ["t1", 1], ["t2", 0]]);
  assert.equal(play(state, event("item/started", { turnId: "t2", item: message("i2", "") }, 3)).turns[1].items.length, 1);
});

test("each event twice changes nothing", () => {
  const events = [
    event("turn/started", { turn: turn("t1") }, 3),
    event("item/started", { turnId: "t1", item: message("i1", "") }, 4),
    event("item/completed", { turnId: "t1", item: message("i1", "one") }, 5),
    event("turn/completed", { turn: turn("t1", { status: "completed" }) }, 6),
    event("thread/name/updated", { threadName: "a name" }, 7),
  ];
  assert.deepEqual(play(whole([]), ...events.flatMap((each) => [each, each])), play(whole([]), ...events));
  assert.deepEqual(play(whole([]), ...events, ...events), play(whole([]), ...events));
});

test("an event with the number of the view is not applied again", () => {
  const state = begun();
  assert.equal(reduce(state, event("item/started", { turnId: "t1", item: message("i1", "") }, 4)), state);
});

test("an item that comes again replaces its content", () => {
  const state = reduce(begun(), event("item/started", { turnId: "t1", item: message("i1", "one two three") }));
  assert.equal(state.turns[0].items.length, 1);
  assert.equal(state.turns[0].items[0].text, "one two three");
  assert.deepEqual(state.at, { seq: 4, epoch: 1 });
});

test("a view never changes in place", () => {
  const before = begun();
  const copy = JSON.stringify(before);
  reduce(before, event("item/agentMessage/delta", { turnId: "t1", itemId: "i1", delta: "two" }));
  reduce(before, event("turn/completed", { turn: turn("t1", { status: "failed" }) }, 9));
  assert.equal(JSON.stringify(before), copy);
});

test("numbers that fall are ignored, an unknown epoch asks for the whole", () => {
  const state = begun();
  assert.equal(reduce(state, event("turn/started", { turn: turn("t0") }, 2)), state);
  assert.equal(reduce(state, event("turn/started", { turn: turn("t0") }, 9, 0)), state);
  const stale = reduce(state, event("turn/started", { turn: turn("t2") }, 9, 2));
  assert.equal(stale.stale, true);
  assert.equal(stale.at, undefined);
});

test("a revert drops turns and their questions", () => {
  const asked = play(
    begun(),
    event("turn/started", { turn: turn("t2") }, 8),
    { ...event("item/tool/requestUserInput", { turnId: "t2", itemId: "i2", questions: [] }), id: 7 },
  );
  assert.equal(asked.questions.length, 1);
  const state = reduce(asked, event("thread/reverted", { skein: { beforeTurnId: "t2" } }, 9, 2));
  assert.deepEqual([state.turns.map((each) => each.id), state.questions, state.at], [["t1"], [], { seq: 9, epoch: 2 }]);
  const unsaved = reduce(asked, event("thread/reverted", { skein: { beforeTurnId: "t2" } }));
  assert.equal(unsaved.at, undefined, "the revert may be lost, so the number is forgotten");
  assert.equal(reduce(asked, event("thread/reverted", { skein: { beforeTurnId: "t0" } }, 9, 2)).stale, true);
});

test("an answer that continues keeps the view; a gap replaces it", () => {
  const state = play(begun(), { ...event("item/tool/requestUserInput", { turnId: "t1" }), id: 7 });
  const on = resumed(state, { thread: thread(), skein: { seq: 4, epoch: 1, replayTo: 9, pendingRequests: [] } });
  assert.deepEqual([on.turns, on.questions, on.replayTo, on.at], [state.turns, [], 9, state.at]);
  const gap = resumed(state, { thread: thread({ turns: [turn("t9")] }), skein: { seq: 20, epoch: 2, pendingRequests: [7], gap: { reason: "otherEpoch" }, olderTurns: "c" } });
  assert.deepEqual([gap.turns[0].id, gap.gaps, gap.at, gap.older, gap.questions.length], ["t9", true, { seq: 20, epoch: 2 }, "c", 1]);
  const older = withOlder(gap, { data: [turn("t8"), turn("t7"), turn("t9")], nextCursor: null, backwardsCursor: null });
  assert.deepEqual([older.turns.map((each) => each.id), older.older], [["t7", "t8", "t9"], undefined]);
});

test("reasoning, plans, progress, usage and retries", () => {
  const reasoning = { type: "reasoning", id: "r", summary: [], content: [] };
  const state = play(
    whole([turn("t1", { items: [reasoning, { type: "plan", id: "p", text: "" }, { type: "mcpToolCall", id: "m" }] })]),
    event("item/reasoning/summaryPartAdded", { turnId: "t1", itemId: "r", summaryIndex: 0 }),
    event("item/reasoning/summaryTextDelta", { turnId: "t1", itemId: "r", summaryIndex: 0, delta: "so" }),
    event("item/reasoning/textDelta", { turnId: "t1", itemId: "r", contentIndex: 4e9, delta: "hm" }),
    event("item/plan/delta", { turnId: "t1", itemId: "p", delta: "1." }),
    event("item/mcpToolCall/progress", { turnId: "t1", itemId: "m", message: "half" }),
    event("thread/tokenUsage/updated", { tokenUsage: { total: 3 } }, 9),
    event("error", { turnId: "t1", error: { message: "overloaded" }, willRetry: true }),
  );
  const [thoughts, plan, call] = state.turns[0].items;
  assert.deepEqual([thoughts.summary, thoughts.content, plan.text, call.progress], [["so"], ["hm"], "1.", "half"]);
  assert.deepEqual([state.usage, state.retrying.message], [{ total: 3 }, "overloaded"]);
  assert.equal(reduce(state, event("item/completed", { turnId: "t1", item: message("i", "") }, 10)).retrying, undefined);
});

test("unknown methods, items and shapes change nothing", () => {
  const state = begun();
  for (const odd of [
    event("item/dance", {}),
    { method: "turn/started" },
    event("turn/started", { turn: null }),
    event("turn/completed", {}),
    event("item/completed", { turnId: "t1" }),
    event("thread/status/changed", { status: null }),
    event("item/agentMessage/delta", { turnId: "none", itemId: "none", delta: "x" }),
  ]) {
    assert.deepEqual(reduce(state, odd), state, JSON.stringify(odd));
  }
  const odd = reduce(state, event("item/started", { turnId: "t1", item: { type: "hologram", id: "h" } }, 9));
  assert.equal(odd.turns[0].items[1].type, "hologram");
});
