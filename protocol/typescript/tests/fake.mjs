// A server in memory and a clock that tests move. SKEIN_CLIENT names the module under test.

import assert from "node:assert/strict";
import { mock } from "node:test";

const client = await import(process.env.SKEIN_CLIENT);
export const { connect, emptyThread, memory, reduce, resumed, SkeinError, webStorage, withOlder } = client;

export const THREAD = "01a1f8d1-0000-7000-8000-000000000001";
export const EPOCH = "01a1f905-0000-7000-8000-000000000009";

/** Lets promises run. The clock stands still. */
export const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

export const thread = (more = {}) => ({
  id: THREAD,
  name: null,
  preview: "",
  status: { type: "idle" },
  turns: [],
  updatedAt: 1,
  ephemeral: false,
  path: `/home/threads/00/${THREAD}.jsonl`,
  ...more,
});
export const turn = (id, more = {}) => ({ id, status: "inProgress", error: null, items: [], itemsView: "notLoaded", ...more });
export const message = (id, text, more = {}) => ({ type: "agentMessage", id, text, ...more });
export const event = (method, params, seq, epoch = 1) => ({
  method,
  params: { threadId: THREAD, ...params },
  emittedAtMs: 0,
  ...(seq !== undefined && { seq, epoch }),
});

/** The server's side of one link. */
class Socket {
  static all = [];
  readyState = 0;
  sent = [];
  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    Socket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  /** The handshake and `initialize` succeed. */
  async up(extension = { version: 1, heartbeatMs: 20000 }) {
    this.readyState = 1;
    this.onopen?.({});
    await this.answer("initialize", { skein: { version: "0.1.0", extensions: extension ? { "skein/events": extension } : {} } });
  }
  async give(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
    await settle();
  }
  async end(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
    await settle();
  }
  /** Requests of this method. */
  asked(method) {
    return this.sent.filter((message) => message.method === method);
  }
  /** Answers the last request of this method. */
  async answer(method, result) {
    const request = this.asked(method).at(-1);
    assert.ok(request, `${method} was not asked, but ${this.sent.map((message) => message.method)}`);
    await this.give({ id: request.id, result });
    return request;
  }
  async refuse(method, error) {
    await this.give({ id: this.asked(method).at(-1).id, error });
  }
}

/** A client with its server: `sockets` has the links of all clients, the newest last, and `own` those of this one. `keep`: the
 * clock and the other clients stay. */
export function world({ keep, ...options } = {}) {
  if (!keep) {
    mock.timers.reset();
    mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
    Socket.all = [];
  }
  const [links, own] = [[], []];
  const skein = connect({
    url: "ws://127.0.0.1:4500",
    WebSocket: class extends Socket {
      constructor(...given) {
        super(...given);
        own.push(this);
      }
    },
    fetch: async () => {
      throw new TypeError("nobody is there");
    },
    random: () => 1,
    ...options,
  });
  skein.watchLink((link) => links.push(link));
  return {
    skein,
    links,
    own,
    get sockets() {
      return Socket.all;
    },
    get socket() {
      return Socket.all.at(-1);
    },
    states: () => links.map((link) => link.state).filter((state, at, all) => state !== all[at - 1]),
    async pass(ms) {
      mock.timers.tick(ms);
      await settle();
    },
    /** A chat of the thread, subscribed, with this answer. */
    async chat(skeinMember = { seq: 2, epoch: 1, pendingRequests: [] }, more = {}) {
      const chat = skein.thread(THREAD);
      await settle();
      await this.socket.up();
      await this.socket.answer("thread/resume", { thread: thread(more), skein: skeinMember, model: "echo", modelProvider: "echo", cwd: "/" });
      return chat;
    },
  };
}
