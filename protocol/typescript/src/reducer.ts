// The state of one thread as a pure function of the server's messages, by the rules of docs/events.md. Everything is
// kept by ids, so a message that comes twice changes nothing.

import type { RequestId, ThreadResumeResponse, ThreadStartResponse, TurnsPage } from "../../generated/skein.ts";
import type { Item, Question, ThreadState, TurnView } from "./types.ts";

// biome-ignore lint: messages of any server come in any shape
type Any = any;

/** A message of the server: a notification, or a question with an `id`. */
export type Message = { method: string; params?: Any; id?: RequestId; seq?: number; epoch?: number };

/** Whether the thread lies in the archive. */
export const isArchived = ({ path }: { path?: string | null }): boolean => /[\\/]archived_sessions/.test(path!);

/** A thread of which nothing is known. */
export function emptyThread(id?: string): ThreadState {
  return { id, name: null, status: { type: "notLoaded" }, turns: [], questions: [], gaps: false };
}

/** The state after the answer to `thread/start` or `thread/resume`. */
export function resumed(state: ThreadState, answer: ThreadStartResponse | ThreadResumeResponse): ThreadState {
  const { thread, model, modelProvider, cwd } = answer;
  const { seq, epoch, replayTo, olderTurns, gap, pendingRequests = [] }: Any = answer.skein ?? {};
  const next: ThreadState = {
    ...omit(state, "stale", "deleted", "archived", "replayTo", "retrying"),
    id: thread.id,
    name: thread.name,
    status: thread.status,
    questions: state.questions.filter((question) => pendingRequests.includes(question.id)),
    model,
    modelProvider,
    cwd,
    gaps: !!gap,
    ...(isArchived(thread) && { archived: true }),
  };
  if (replayTo != null) return { ...next, replayTo };
  return {
    ...omit(next, "older", "usage", "at"),
    ...(seq != null && { at: { seq, epoch } }),
    ...(olderTurns && { older: olderTurns }),
    turns: turns(thread.turns),
  };
}

/** The state with a page of `thread/turns/list`, newest first, before its turns. */
export function withOlder(state: ThreadState, page: TurnsPage): ThreadState {
  const known = new Set(state.turns.map((turn) => turn.id));
  const added = turns(page.data).filter((turn) => !known.has(turn.id));
  return {
    ...omit(state, "older"),
    turns: [...added.reverse(), ...state.turns],
    ...(page.nextCursor && { older: page.nextCursor }),
  };
}

/** Whether the replay of the last resume is complete. */
export const caughtUp = (state: ThreadState): boolean => (state.at?.seq ?? 0) >= (state.replayTo ?? 0);

/** The state after a message about its thread. A message that changes nothing returns the same object. */
export function reduce(state: ThreadState, message: Message): ThreadState {
  const { seq, epoch } = message;
  if (typeof seq !== "number" || typeof epoch !== "number") return apply(state, message);
  const { at } = state;
  if (at && (epoch < at.epoch || (epoch === at.epoch && seq <= at.seq))) return state;
  if (at && epoch > at.epoch && message.method !== "thread/reverted") return restart(state);
  return { ...apply(state, message), at: { seq, epoch } };
}

/** Without its number, so that the next resume shows the whole. */
function restart(state: ThreadState): ThreadState {
  return { ...omit(state, "at"), stale: true };
}

function apply(state: ThreadState, message: Message): ThreadState {
  const { method, params, id } = message;
  if (!params) return state;
  if (id !== undefined) {
    // An answer that may be lost on its way stays marked.
    const known = state.questions.find((question) => question.id === id);
    return { ...state, questions: [...without(state, id), { ...known, id, method, params } as Question] };
  }
  switch (method) {
    case "turn/started":
    case "turn/completed":
      return params.turn?.id ? withTurn(state, params, method === "turn/started") : state;
    case "item/started":
    case "item/completed":
      return params.item?.id ? turn(calm(state), params.turnId, (known) => withItem(known, params.item)) : state;
    case "item/agentMessage/delta":
    case "item/plan/delta":
      return more(state, params, (item) => ({ text: (item.text ?? "") + params.delta }));
    case "item/reasoning/summaryTextDelta":
    case "item/reasoning/summaryPartAdded":
      return more(state, params, (item) => ({ summary: part(item.summary, params.summaryIndex, params) }));
    case "item/reasoning/textDelta":
      return more(state, params, (item) => ({ content: part(item.content, params.contentIndex, params) }));
    case "item/mcpToolCall/progress":
      return more(state, params, () => ({ progress: params.message }));
    case "thread/name/updated":
      return { ...state, name: params.threadName ?? null };
    case "thread/status/changed":
      return params.status?.type ? { ...state, status: params.status } : state;
    case "thread/tokenUsage/updated":
      return { ...state, usage: params.tokenUsage };
    case "thread/settings/updated": {
      const { model, modelProvider, cwd } = params.threadSettings ?? {};
      return { ...state, model, modelProvider, cwd };
    }
    case "serverRequest/resolved":
      return { ...state, questions: without(state, params.requestId) };
    case "error":
      return params.willRetry ? { ...state, retrying: { turnId: params.turnId, message: String(params.error?.message) } } : state;
    case "thread/reverted":
      return reverted(state, params.skein?.beforeTurnId, message.seq === undefined);
    case "thread/archived":
      return { ...state, archived: true };
    case "thread/unarchived":
      return omit(state, "archived");
    case "thread/deleted":
      return { ...state, deleted: true, questions: [] };
  }
  return state;
}

function omit(state: ThreadState, ...keys: (keyof ThreadState)[]): ThreadState {
  const rest = { ...state };
  for (const key of keys) delete rest[key];
  return rest;
}
/** What of a list has an id. A server and a storage may have anything. */
export const list = <T extends { id: string }>(value: unknown): T[] =>
  Array.isArray(value) ? value.filter((one: T | null) => one?.id) : [];
const turns = (value: unknown): TurnView[] =>
  list<TurnView>(value).map((turn) => ({ ...turn, items: list<Item>(turn.items) }));
const without = (state: ThreadState, id: RequestId) => state.questions.filter((question) => question.id !== id);

/** Without the notice that a turn is tried again: it goes on. */
const calm = (state: ThreadState) => omit(state, "retrying");

/** With one turn changed. An unknown turn is added: its beginning was missed. */
function turn(state: ThreadState, id: string, change: (turn: TurnView) => TurnView): ThreadState {
  const at = state.turns.findLastIndex((known) => known.id === id);
  if (at >= 0) return { ...state, turns: state.turns.with(at, change(state.turns[at]!)) };
  const stub = { id, status: "inProgress", items: [] } as unknown as TurnView;
  return { ...state, turns: [...state.turns, change(stub)] };
}

/** With the state of a turn, and the items that are known of it. The end of a turn voids its questions. */
function withTurn(state: ThreadState, { turn: { id }, turn: news, skein }: Any, begins: boolean): ThreadState {
  const next = turn(calm(state), id, ({ items, itemsView = "full" }) => ({
    ...news,
    items,
    itemsView,
    ...(skein?.saved === false && { saved: false }),
  }));
  return begins ? next : { ...next, questions: state.questions.filter((question) => (question.params as Any).turnId !== id) };
}

function withItem(turn: TurnView, item: Item): TurnView {
  const at = turn.items.findLastIndex((known) => known.id === item.id);
  return { ...turn, items: at < 0 ? [...turn.items, item] : turn.items.with(at, item) };
}

/** With more content of one item. Without the item nothing changes: its start or end brings the content. */
function more(state: ThreadState, params: Any, change: (item: Any) => object): ThreadState {
  const known = state.turns.findLast((turn) => turn.id === params.turnId);
  const item = known?.items.findLast((item) => item.id === params.itemId);
  return item ? turn(calm(state), params.turnId, (turn) => withItem(turn, { ...item, ...change(item) })) : state;
}

/** Parts of a reasoning, one of them longer. */
function part(parts: unknown, index: number, { delta = "" }: { delta?: string }): string[] {
  const next: string[] = Array.isArray(parts) ? parts : [];
  return next[index] === undefined ? [...next, delta] : next.with(index, next[index] + delta);
}

function reverted(state: ThreadState, before: string | undefined, lost: boolean): ThreadState {
  const at = state.turns.findIndex((turn) => turn.id === before);
  if (at < 0) return restart(state);
  const turns = state.turns.slice(0, at);
  const stays = (id: unknown) => !id || turns.some((turn) => turn.id === id);
  const next = { ...state, turns, questions: state.questions.filter((question) => stays((question.params as Any).turnId)) };
  return lost ? omit(next, "at") : next;
}
