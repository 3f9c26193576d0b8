// The state of one thread as a pure function of the server's messages, by the rules of docs/events.md. Everything is
// kept by ids, so a message that comes twice changes nothing.

import type { RequestId, ThreadResumeResponse, ThreadStartResponse, TurnsPage } from "../../generated/skein.ts";
import type { Item, Question, ThreadState, TurnView } from "./types.ts";

// biome-ignore lint: messages of any server come in any shape
type Any = any;

/** A message of the server: a notification, or a question with an `id`. */
export type Message = { method: string; params?: Any; id?: RequestId; seq?: number; epoch?: number };

/** A thread of which nothing is known. */
export function emptyThread(id?: string): ThreadState {
  return { id, name: null, status: { type: "notLoaded" }, turns: [], questions: [], gaps: false };
}

/** The state after the answer to `thread/start` or `thread/resume`. */
export function resumed(state: ThreadState, answer: ThreadStartResponse | ThreadResumeResponse): ThreadState {
  const { thread } = answer;
  const point: Any = answer.skein ?? {};
  const pending: RequestId[] = point.pendingRequests ?? [];
  const { stale: _, deleted: __, replayTo: ___, retrying: ____, ...rest } = state;
  const next: ThreadState = {
    ...rest,
    id: thread.id,
    name: thread.name ?? null,
    status: thread.status,
    questions: state.questions.filter((question) => pending.includes(question.id)),
    model: answer.model,
    modelProvider: answer.modelProvider,
    cwd: answer.cwd,
  };
  if (typeof point.replayTo === "number") {
    return { ...next, replayTo: point.replayTo, gaps: false };
  }
  const { older: _____, usage: ______, at: _______, ...whole } = next;
  return {
    ...whole,
    ...(typeof point.seq === "number" && { at: { seq: point.seq, epoch: point.epoch } }),
    ...(point.olderTurns && { older: point.olderTurns }),
    turns: list(thread.turns),
    gaps: !!point.gap,
  };
}

/** The state with a page of `thread/turns/list`, newest first, before its turns. */
export function withOlder(state: ThreadState, page: TurnsPage): ThreadState {
  const { older: _, ...rest } = state;
  const known = new Set(state.turns.map((turn) => turn.id));
  const added = list<TurnView>(page.data).filter((turn) => !known.has(turn.id));
  return {
    ...rest,
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
  const { at: _, ...rest } = state;
  return { ...rest, stale: true };
}

function apply(state: ThreadState, message: Message): ThreadState {
  const { method, params, id } = message;
  if (!params || typeof params !== "object") return state;
  if (id !== undefined) {
    const question = { id, method, params } as Question;
    return { ...state, questions: [...without(state, id), question] };
  }
  switch (method) {
    case "turn/started":
      return params.turn?.id ? turn(state, params.turn.id, (known) => ({ ...params.turn, items: known.items, itemsView: "full" })) : state;
    case "turn/completed":
      return params.turn?.id ? completed(state, params) : state;
    case "item/started":
    case "item/completed":
      return params.item?.id ? turn(calm(state), params.turnId, (known) => withItem(known, params.item)) : state;
    case "item/agentMessage/delta":
    case "item/plan/delta":
      return more(state, params, (item) => ({ text: (item.text ?? "") + params.delta }));
    case "item/reasoning/summaryTextDelta":
      return more(state, params, (item) => ({ summary: part(item.summary, params.summaryIndex, params.delta) }));
    case "item/reasoning/summaryPartAdded":
      return more(state, params, (item) => ({ summary: part(item.summary, params.summaryIndex, "") }));
    case "item/reasoning/textDelta":
      return more(state, params, (item) => ({ content: part(item.content, params.contentIndex, params.delta) }));
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
    case "thread/unarchived": {
      const { archived: _, ...rest } = state;
      return rest;
    }
    case "thread/deleted":
      return { ...state, deleted: true, questions: [] };
    default:
      return state;
  }
}

const list = <T>(value: unknown): T[] => (Array.isArray(value) ? (value as T[]) : []);
const without = (state: ThreadState, id: RequestId) => state.questions.filter((question) => question.id !== id);

/** Without the notice that a turn is tried again: it goes on. */
function calm(state: ThreadState): ThreadState {
  const { retrying, ...rest } = state;
  return retrying ? rest : state;
}

/** With one turn changed. An unknown turn is added: its beginning was missed. */
function turn(state: ThreadState, id: string, change: (turn: TurnView) => TurnView): ThreadState {
  const at = state.turns.findLastIndex((known) => known.id === id);
  if (at >= 0) return { ...state, turns: state.turns.with(at, change(state.turns[at]!)) };
  const stub = { id, status: "inProgress", error: null, items: [], itemsView: "full" } as unknown as TurnView;
  return { ...state, turns: [...state.turns, change(stub)] };
}

function completed(state: ThreadState, params: Any): ThreadState {
  const next = turn(calm(state), params.turn.id, (known) => ({
    ...params.turn,
    items: known.items,
    itemsView: known.itemsView,
    ...(params.skein?.saved === false && { saved: false }),
  }));
  const questions = state.questions.filter((question) => (question.params as Any).turnId !== params.turn.id);
  return { ...next, questions };
}

function withItem(turn: TurnView, item: Item): TurnView {
  const at = turn.items.findLastIndex((known) => known.id === item.id);
  return { ...turn, items: at < 0 ? [...turn.items, item] : turn.items.with(at, item) };
}

/** With more content of one item. Without the item nothing changes: its start or end brings the content. */
function more(state: ThreadState, params: Any, change: (item: Any) => object): ThreadState {
  const known = state.turns.findLast((turn) => turn.id === params.turnId);
  const item = known?.items.findLast((item) => item.id === params.itemId);
  if (!known || !item) return state;
  return turn(calm(state), known.id, (turn) => withItem(turn, { ...item, ...change(item) }));
}

/** Parts of a reasoning, one of them longer. */
function part(parts: unknown, index: unknown, delta: string): string[] {
  const next = [...list<string>(parts)];
  const at = Math.min(Math.max(Number(index) || 0, 0), next.length);
  next[at] = (next[at] ?? "") + delta;
  return next;
}

function reverted(state: ThreadState, before: string | undefined, lost: boolean): ThreadState {
  const at = state.turns.findIndex((turn) => turn.id === before);
  if (at < 0) return restart(state);
  const gone = new Set(state.turns.slice(at).map((turn) => turn.id));
  const questions = state.questions.filter((question) => !gone.has((question.params as Any).turnId));
  const next = { ...state, turns: state.turns.slice(0, at), questions };
  if (!lost) return next;
  const { at: _, ...rest } = next;
  return rest;
}
