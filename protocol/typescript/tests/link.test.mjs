import assert from "node:assert/strict";
import { test } from "node:test";
import { event, settle, SkeinError, THREAD, world } from "./fake.mjs";

const link = (of) => of.skein.link;

test("a link opts in, and the token travels as a subprotocol", async () => {
  const at = world({ token: "secret" });
  assert.deepEqual([at.socket.url, at.socket.protocols], ["ws://127.0.0.1:4500", ["skein.v1", "skein.auth.secret"]]);
  const call = at.skein.call("model/list", {});
  await at.socket.up();
  assert.deepEqual(at.socket.sent[0].params.capabilities.extensions, { "skein/events": { version: 1 } });
  assert.equal(at.socket.sent[1].method, "initialized");
  await at.socket.answer("model/list", { data: [] });
  assert.deepEqual(await call, { data: [] });
  assert.deepEqual(at.states(), ["connecting", "catchingUp", "live"]);
});

test("pauses double up to ten seconds, and the client never tries sooner", async () => {
  const at = world();
  const pauses = [];
  for (let attempt = 0; attempt < 10; attempt++) {
    await at.socket.end();
    const pause = link(at).nextTry - Date.now();
    pauses.push(pause);
    const before = at.sockets.length;
    await at.pass(pause - 1);
    assert.equal(at.sockets.length, before);
    await at.pass(1);
    assert.equal(at.sockets.length, before + 1);
  }
  assert.deepEqual(pauses, [200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000, 10000]);
});

test("chance spreads the pauses from the shortest to the longest", async () => {
  for (const [chance, shown] of [[0, [100, 100, 100]], [0.5, [100, 200, 400]], [1, [200, 400, 800]]]) {
    const at = world({ random: () => chance });
    const pauses = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      await at.socket.end();
      pauses.push(link(at).nextTry - Date.now());
      await at.pass(pauses[attempt]);
    }
    assert.deepEqual(pauses, shown, `chance ${chance}`);
  }
});

test("a server that greets and hangs up is not tried faster", async () => {
  const at = world();
  let last = 0;
  for (let attempt = 0; attempt < 5; attempt++) {
    await at.socket.up();
    await at.socket.end();
    const pause = link(at).nextTry - Date.now();
    assert.ok(pause > last, `${pause} after ${last}`);
    last = pause;
    await at.pass(pause);
  }
  await at.socket.up();
  await at.pass(6000);
  await at.socket.end();
  assert.equal(link(at).nextTry - Date.now(), 200, "a link that lived was good");
});

test("a client comes back when the stopping server wants it", async () => {
  const at = world();
  await at.socket.up();
  await at.socket.give({ method: "skein/stopping", params: { retryAfterMs: 1500 } });
  assert.equal(link(at).state, "live");
  await at.socket.end();
  assert.equal(link(at).nextTry - Date.now(), 1500);
  await at.pass(1500);
  await at.socket.up();
  await at.socket.give({ method: "skein/stopping", params: { retryAfterMs: "soon" } });
  await at.socket.end();
  assert.ok(link(at).nextTry - Date.now() < 1000, "another link, and no time");
});

test("three silent heartbeats end a link, and any message keeps it", async () => {
  const at = world();
  await at.socket.up();
  await at.pass(59_000);
  await at.socket.give({ method: "skein/heartbeat", params: { at: 0 } });
  await at.pass(59_000);
  assert.equal(link(at).state, "live");
  await at.pass(1_000);
  assert.equal(link(at).state, "reconnecting");
});

test("a handshake that hangs is given up", async () => {
  const at = world();
  await at.pass(10_000);
  assert.equal(link(at).state, "reconnecting");
});

test("calls on a lost link end with linkLost; waiting ones are sent later", async () => {
  const at = world();
  await at.socket.up();
  const lost = at.skein.call("thread/list", {});
  await at.socket.end();
  await assert.rejects(lost, (error) => error instanceof SkeinError && error.reason === "linkLost" && error.passing);
  const waits = at.skein.call("thread/list", {});
  await at.pass(200);
  await at.socket.up();
  await at.socket.answer("thread/list", { data: [] });
  assert.deepEqual(await waits, { data: [] });
});

test("a refused credential stops the client until it is told to go on", async () => {
  const asked = [];
  const fetch = async (url, init) => {
    asked.push([url, init.headers]);
    return { status: 401, json: async () => ({ reason: "expired", message: "the session is over" }) };
  };
  const at = world({ token: "old", fetch });
  const call = at.skein.call("model/list", {});
  await at.socket.end();
  assert.deepEqual(asked, [["http://127.0.0.1:4500/auth/session", { Authorization: "Bearer old" }]]);
  assert.deepEqual([link(at).state, link(at).reason, link(at).message], ["refused", "expired", "the session is over"]);
  await assert.rejects(call, { reason: "refused" });
  await assert.rejects(at.skein.call("model/list", {}), { reason: "refused" });
  await at.pass(100_000);
  assert.equal(at.sockets.length, 1);
  at.skein.retry("new");
  assert.deepEqual(at.socket.protocols, ["skein.v1", "skein.auth.new"]);
  await at.socket.up();
  assert.equal(link(at).state, "live");
});

test("an origin that is not allowed is told from a server that is away", async () => {
  const answers = (healthz) => async (url, init) => {
    if (url.endsWith("/healthz") && healthz) return assert.equal(init.mode, "no-cors");
    throw new TypeError("blocked");
  };
  const refused = world({ token: "t", fetch: answers(true) });
  await refused.socket.end();
  assert.deepEqual([link(refused).state, link(refused).reason], ["refused", "origin"]);
  const away = world({ token: "t", fetch: answers(false) });
  await away.socket.end();
  assert.equal(link(away).state, "reconnecting");
});

test("a revoked session is noticed when its link is closed with 1008", async () => {
  const fetch = async () => ({ status: 401, json: async () => ({ reason: "revoked", message: "revoked" }) });
  const at = world({ token: "t", fetch });
  await at.socket.up();
  await at.socket.end(1008);
  assert.equal(link(at).reason, "revoked");
});

test("a refused initialize says why; an overloaded server is tried again when it says", async () => {
  const at = world();
  at.socket.readyState = 1;
  at.socket.onopen({});
  await at.socket.refuse("initialize", { code: -32001, message: "busy", data: { reason: "busy", retryAfterMs: 5000 } });
  assert.equal(link(at).nextTry - Date.now(), 5000);
  await at.pass(5000);
  at.socket.readyState = 1;
  at.socket.onopen({});
  await at.socket.refuse("initialize", { code: -32600, message: "no", data: { reason: "invalidParams" } });
  assert.deepEqual([link(at).state, link(at).reason], ["refused", "invalidParams"]);
});

test("the largest message is the one that a close with 1009 refuses", async () => {
  const at = world();
  await at.socket.up();
  const small = at.skein.call("model/list", {});
  const large = at.skein.call("thread/name/set", { threadId: THREAD, name: "x".repeat(1000) });
  await at.socket.end(1009);
  await assert.rejects(small, { reason: "linkLost" });
  await assert.rejects(large, { reason: "tooLarge" });
});

test("garbage, answers to nobody and 16 MiB do no harm", async () => {
  const at = world();
  await at.socket.up();
  const warn = console.warn;
  console.warn = () => {};
  const seen = [];
  at.skein.on("*", (_, message) => seen.push(message.method));
  for (const odd of ["", "{", "null", "7", "[]", '"text"', '{"id":99,"result":{}}', '{"id":null,"error":7}', '{"method":7}', { method: "thread/dance" }]) {
    await at.socket.give(odd);
  }
  await at.socket.give(event("item/agentMessage/delta", { delta: "x".repeat(16 << 20) }));
  console.warn = warn;
  assert.equal(link(at).state, "live");
  assert.deepEqual(seen.filter((method) => typeof method === "string"), ["thread/dance", "item/agentMessage/delta"]);
  const call = at.skein.call("model/list", {});
  await at.socket.give({ id: at.socket.asked("model/list")[0].id, error: "no object" });
  await assert.rejects(call, { reason: "badAnswer" });
});

test("times that are no times do not make the client faster", async () => {
  for (const odd of ["soon", 1e12, -5, {}]) {
    const at = world();
    at.socket.readyState = 1;
    at.socket.onopen({});
    await at.socket.refuse("initialize", { code: -32001, message: "busy", data: { reason: "busy", retryAfterMs: odd } });
    const pause = link(at).nextTry - Date.now();
    assert.ok(pause >= 200 && pause < 2 ** 31, `${pause} after ${odd}`);
  }
  for (const heartbeatMs of ["soon", 1e12, {}]) {
    const at = world();
    const [set, pauses] = [globalThis.setTimeout, []];
    globalThis.setTimeout = (run, ms) => (pauses.push(ms), set(run, ms));
    await at.socket.up({ version: 1, heartbeatMs });
    globalThis.setTimeout = set;
    const odd = pauses.filter((ms) => !(ms > 0 && ms < 2 ** 31));
    assert.deepEqual([odd, link(at).state], [[], "live"], `a heartbeat of ${heartbeatMs}`);
  }
});

test("listeners of one method, and one that throws", async () => {
  const at = world();
  await at.socket.up();
  const warn = console.warn;
  console.warn = () => {};
  const seen = [];
  at.skein.on("warning", () => {
    throw new Error("of the page");
  });
  const stop = at.skein.on("warning", (params) => seen.push(params.message));
  await at.socket.give({ method: "warning", params: { message: "one", threadId: null } });
  stop();
  await at.socket.give({ method: "warning", params: { message: "two", threadId: null } });
  console.warn = warn;
  assert.deepEqual(seen, ["one"]);
});

test("a closed client is silent", async () => {
  const at = world();
  await at.socket.up();
  const call = at.skein.call("model/list", {});
  at.skein.close();
  await assert.rejects(call);
  await settle();
  await at.pass(100_000);
  assert.deepEqual([at.sockets.length, link(at).state], [1, "closed"]);
});
