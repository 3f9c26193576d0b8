// A client that uses each kind of message. It is never run: it has to compile, and what is wrong must not.

import type {
  Answer,
  ClientNotification,
  ClientRequest,
  Methods,
  Notifications,
  RequestId,
  ServerNotification,
  ServerRequest,
  ServerRequests,
  Thread,
  WireError,
} from "../../generated/skein";

/** A request of any method, whose answer has the method's own type. */
declare function call<M extends keyof Methods>(method: M, params: Methods[M]["params"]): Promise<Methods[M]["result"]>;
declare function send(message: ClientRequest | ClientNotification | Answer<unknown>): void;
declare function show(text: string): void;

export async function talk(): Promise<Thread> {
  send({ id: "first", method: "initialize", params: { clientInfo: { name: "a-client", version: "1.0.0" } } });
  send({ method: "initialized", params: {} });
  const { thread, skein } = await call("thread/start", { cwd: "/tmp" });
  show(`${thread.id} at ${skein?.seq ?? 0}`);
  const { turn } = await call("turn/start", {
    threadId: thread.id,
    // A client may leave out what the server always sends: here `text_elements`.
    input: [{ type: "text", text: "hello" }],
  });
  await call("turn/interrupt", { threadId: thread.id, turnId: turn.id });
  const { state } = await call("skein/thread/unload", { threadId: thread.id });
  show(state === "unloaded" ? "no helper is left" : state);
  show(Object.keys(await call("rpc.discover", {})).join());
  return thread;
}

/** One branch for each kind of item in sight; the others have a name, too. */
export function hear(message: ServerNotification): void {
  show(`${message.method} at ${message.emittedAtMs}, number ${message.seq ?? "none"} of ${message.epoch ?? "none"}`);
  switch (message.method) {
    case "item/agentMessage/delta":
      return show(message.params.delta);
    case "item/completed": {
      const { item } = message.params;
      return show(item.type === "agentMessage" ? item.text : item.type);
    }
    case "turn/completed":
      return show(message.params.turn.error?.message ?? message.params.turn.status);
    case "thread/closed":
      return show(message.params.threadId);
    default:
      return show(message.method);
  }
}

/** Each question of the server has its own answer; a new one without a branch here does not compile. */
export function answer(message: ServerRequest): void {
  switch (message.method) {
    case "item/tool/requestUserInput": {
      const answers: ServerRequests[typeof message.method]["result"]["answers"] = {};
      for (const question of message.params.questions) {
        answers[question.id] = { answers: [question.options?.[0]?.label ?? "yes"] };
      }
      return reply(message.id, message.method, { answers });
    }
    case "mcpServer/elicitation/request":
      return reply(message.id, message.method, { action: "decline" });
    case "item/tool/call": {
      const text = `there is no ${message.params.tool} here`;
      return reply(message.id, message.method, { contentItems: [{ type: "inputText", text }], success: false });
    }
    default:
      return message satisfies never;
  }
}

function reply<R extends keyof ServerRequests>(id: RequestId, _method: R, result: ServerRequests[R]["result"]): void {
  send({ id, result });
}

export function failure(answer: Answer<unknown>): string | undefined {
  if (!("error" in answer)) return undefined;
  const error: WireError = answer.error;
  return error.data?.retryAfterMs === undefined ? error.message : `again in ${error.data.retryAfterMs} ms`;
}

/** A table of listeners that has every notification. */
export type Listeners = { [N in keyof Notifications]: (params: Notifications[N]) => void };

export async function mistakes(): Promise<void> {
  // @ts-expect-error: no method has this name
  await call("thread/stop", {});
  // @ts-expect-error: `threadId` is missing
  await call("thread/resume", {});
  // @ts-expect-error: a text is no number
  await call("thread/list", { limit: "ten" });
  // @ts-expect-error: the answer has no such member
  show((await call("thread/read", { threadId: "" })).turns);
  // @ts-expect-error: a notification that the server does not have
  const unknown: keyof Notifications = "thread/opened";
  show(unknown);
}
