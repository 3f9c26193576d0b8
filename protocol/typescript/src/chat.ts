// One thread: subscribes, applies the events, keeps unsent messages, hands out questions.

import { type Core, type Part, tell } from "./core.ts";
import { SkeinError } from "./errors.ts";
import { caughtUp, emptyThread, type Message, reduce, resumed, withOlder } from "./reducer.ts";
import type {
  Chat,
  Question,
  QuestionAnswer,
  SendOptions,
  ThreadStartParams,
  ThreadState,
  Unsent,
  UserInputParam,
  View,
} from "./types.ts";
import type { RequestId, ThreadResumeResponse, ThreadStartResponse, TurnStartResponse } from "../../generated/skein.ts";

/** At most this often a view is stored, in milliseconds; a view that takes long to store is stored less often. */
const STORE_EVERY = 1000;
/** A page of `history()`, in turns. */
const PAGE = 20;

type Entry = {
  id: string;
  input: UserInputParam[];
  options: SendOptions;
  error?: SkeinError | undefined;
  /** Sent on this link. */
  sent?: boolean;
  /** The turn of the server's answer. */
  turn?: string;
  resolve?: (turn: string) => void;
  reject?: (error: SkeinError) => void;
};

const input = (given: string | UserInputParam[]): UserInputParam[] =>
  typeof given === "string" ? [{ type: "text", text: given }] : given;

/** An id that no other message has, also where `crypto.randomUUID` is missing: on pages without TLS. */
const newId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export function createChat(core: Core, id: string | undefined): Chat {
  let state: ThreadState = emptyThread(id);
  let view: View | undefined;
  /** Whether this link is subscribed: to all, or as an observer of an archived thread. */
  let subscription: "no" | "asked" | "observes" | "yes" = "no";
  let loaded = id === undefined;
  let closed = false;
  let error: SkeinError | undefined;
  let startParams: ThreadStartParams | undefined;
  let wanted = false;
  let started: { resolve(): void; reject(error: SkeinError): void }[] = [];
  let unsent: Entry[] = [];
  let attempt = 0;
  let onQuestion: Chat["onQuestion"];
  let storing = false;
  let storePause = STORE_EVERY;
  const handed = new Set<RequestId>();
  const answers = new Map<RequestId, object>();
  const listeners = new Set<(view: View) => void>();

  const show = (next: ThreadState = state) => {
    state = next;
    view = undefined;
    confirm();
    tell(listeners, chat.view);
  };

  /** Removes messages that the thread shows, or whose turn is over. */
  const confirm = () => {
    if (!unsent.length) return;
    const gone = unsent.filter((entry) => {
      const turn = state.turns.findLast(
        (turn) =>
          turn.items.some((item) => item.type === "userMessage" && item.clientId === entry.id) ||
          (turn.id === entry.turn && turn.status !== "inProgress"),
      );
      if (turn) entry.resolve?.(turn.id);
      return turn;
    });
    if (gone.length) keepUnsent(unsent.filter((entry) => !gone.includes(entry)));
  };

  const keepUnsent = (next: Entry[]) => {
    unsent = next;
    if (!state.id) return;
    const kept = unsent.map(({ id, input, options }) => ({ id, input, options }));
    const key = `unsent.${state.id}`;
    void stored(() => (kept.length ? core.store.set(key, kept) : core.store.delete(key)));
  };
  /** A store that fails costs only what it stores. */
  const stored = async (run: () => unknown): Promise<unknown> => {
    try {
      return await run();
    } catch (error) {
      console.warn("skein-client: the storage fails", error);
      return undefined;
    }
  };
  const keepView = () => {
    if (storing || !state.id) return;
    storing = true;
    setTimeout(async () => {
      if (!closed && state.id && state.at && !state.deleted) {
        const before = Date.now();
        await stored(() => core.store.set(`thread.${state.id}`, { v: 1, state }));
        storePause = Math.max(STORE_EVERY, 20 * (Date.now() - before));
      }
      storing = false;
    }, storePause);
  };

  const load = async () => {
    const [kept, waiting] = (await Promise.all([
      stored(() => core.store.get(`thread.${id}`)),
      stored(() => core.store.get(`unsent.${id}`)),
    ])) as [{ v?: number; state?: ThreadState } | undefined, Entry[] | undefined];
    if (kept?.v === 1 && kept.state?.id === id && Array.isArray(kept.state?.turns)) state = kept.state!;
    if (Array.isArray(waiting)) {
      const known = new Set(unsent.map((entry) => entry.id));
      unsent = [...waiting.filter((entry) => entry?.id && !known.has(entry.id)), ...unsent];
    }
    loaded = true;
    show();
    subscribe();
  };

  const subscribe = () => {
    if (closed || !loaded || !core.ready || subscription !== "no" || state.deleted) return;
    if (!state.id && !wanted) return;
    subscription = "asked";
    const observe = state.archived && !unsent.some((entry) => !entry.error);
    const { at } = state.stale ? {} : state;
    const skein = { ...(at && { afterSeq: at.seq, epoch: at.epoch }), ...(observe && { observe }) };
    const done = (failure: SkeinError | undefined, answer?: ThreadStartResponse | ThreadResumeResponse) => {
      if (closed || subscription !== "asked") return;
      if (failure || !answer?.thread?.id) return failed(failure ?? new SkeinError("badAnswer", "the server answered without a thread"));
      subscription = observe ? "observes" : "yes";
      error = undefined;
      const isNew = !state.id;
      const next = resumed(state, answer);
      if (isNew) {
        core.adopt(next.id!, chat);
        state = { ...state, id: next.id };
        if (unsent.length) keepUnsent(unsent);
      }
      show(next);
      keepView();
      for (const waiter of started) waiter.resolve();
      started = [];
      flush();
    };
    if (state.id) core.request("thread/resume", { threadId: state.id, skein }, done as never);
    else core.request("thread/start", startParams ?? {}, done as never);
  };

  const failed = (failure: SkeinError) => {
    subscription = "no";
    if (failure.reason === "linkLost") return;
    if (failure.passing) return core.retryLater(subscribe, ++attempt, failure.retryAfterMs);
    if (failure.reason === "threadNotFound" && wanted && !state.turns.length) {
      // A thread without a message is not saved, and a restart of the server forgets it.
      core.forget(chat);
      state = emptyThread();
      return core.retryLater(subscribe, ++attempt);
    }
    error = failure;
    for (const waiter of started) waiter.reject(failure);
    started = [];
    if (failure.reason === "threadNotFound") {
      void stored(() => core.store.delete(`thread.${state.id}`));
      return show({ ...state, deleted: true, questions: [] });
    }
    for (const entry of unsent) refuse(entry, failure);
    show();
  };

  const refuse = (entry: Entry, failure: SkeinError) => {
    entry.error = failure;
    entry.reject?.(failure);
  };

  /** Sends the unsent messages, one after the other. */
  const flush = () => {
    if (subscription === "observes" && unsent.some((entry) => !entry.error)) {
      subscription = "no";
      return subscribe();
    }
    if (subscription !== "yes") return;
    const entry = unsent.find((entry) => !entry.error && !entry.turn);
    if (!entry || entry.sent) return;
    entry.sent = true;
    const params = { ...entry.options, threadId: state.id, clientUserMessageId: entry.id, input: entry.input };
    core.request("turn/start", params, ((failure: SkeinError | undefined, answer?: TurnStartResponse) => {
      entry.sent = false;
      if (!unsent.includes(entry) || failure?.reason === "linkLost") return;
      if (!failure && answer?.turn?.id) {
        entry.turn = answer.turn.id;
        entry.resolve?.(entry.turn);
        attempt = 0;
      } else if (failure?.passing) {
        return core.retryLater(flush, ++attempt, failure.retryAfterMs);
      } else if (failure?.reason === "notLoaded") {
        subscription = "no";
        return core.retryLater(subscribe, ++attempt);
      } else {
        refuse(entry, failure ?? new SkeinError("badAnswer", "the server answered without a turn"));
      }
      show();
      flush();
    }) as never);
  };

  const ask = (question: Question) => {
    const { id, method } = question;
    const known = answers.get(id);
    if (known) return core.send({ id, ...known });
    const cannot = (message: string) => core.send({ id, error: { code: -32601, message } });
    if (!["item/tool/requestUserInput", "item/tool/call", "mcpServer/elicitation/request"].includes(method)) {
      show({ ...state, questions: state.questions.filter((other) => other.id !== id) });
      return cannot("this client does not know the question");
    }
    const nobody = () => method === "item/tool/call" && cannot("this client does not have the tool");
    if (!onQuestion) return nobody();
    if (handed.has(id)) return;
    handed.add(id);
    Promise.resolve()
      .then(() => onQuestion?.(question))
      .then(
        (given) => (given === undefined ? nobody() : settle(id, { result: given })),
        (failure) => settle(id, { error: { code: -32603, message: String(failure?.message ?? failure) } }),
      );
    return;
  };
  /** Answers an open question. The answer is kept until the server confirms it. */
  const settle = (id: RequestId, answer: object) => {
    if (closed || !state.questions.some((question) => question.id === id)) return;
    answers.set(id, answer);
    if (subscription === "yes") core.send({ id, ...answer });
    show({
      ...state,
      questions: state.questions.map((question) => (question.id === id ? { ...question, answered: true } : question)),
    });
  };

  const part: Part = {
    up() {
      subscription = "no";
      for (const entry of unsent) entry.sent = false;
      subscribe();
    },
    down() {
      if (!core.ready) subscription = "no";
      show();
    },
    settled: () => closed || !!error || state.deleted || (!state.id && !wanted) || (subscription !== "no" && subscription !== "asked" && caughtUp(state)),
    take(message, caught) {
      const { params, method, id } = message as Message & { params: { threadId?: string } };
      if (params?.threadId === undefined || params.threadId !== state.id) return;
      const moved = /^thread\/(un)?archived$|^thread\/deleted$/.test(method);
      if (!moved && (caught || subscription === "no" || subscription === "asked")) return;
      const next = reduce(state, message);
      if (next === state) return;
      if (id !== undefined && answers.has(id)) state = { ...next, questions: next.questions.map((q) => (q.id === id ? { ...q, answered: true } : q)) };
      show(next.stale || id === undefined || !answers.has(id) ? next : state);
      if (message.seq !== undefined || method === "thread/reverted") keepView();
      if (id !== undefined) ask(next.questions.find((question) => question.id === id)!);
      if (method === "thread/deleted") {
        error = new SkeinError("deleted", "the thread was deleted");
        for (const entry of unsent) refuse(entry, error);
        void stored(() => core.store.delete(`thread.${state.id}`));
        show();
      } else if (moved && subscription !== "asked") {
        subscription = "no";
        subscribe();
      } else if (next.stale && subscription !== "no") {
        subscription = "no";
        core.retryLater(subscribe, ++attempt);
      }
      if (method === "turn/completed") attempt = 0;
    },
  };

  const chat: Chat = {
    get id() {
      return state.id;
    },
    get view() {
      view ??= {
        ...state,
        unsent: unsent.map(({ id, input, error }): Unsent => ({ id, input, ...(error && { error }) })),
        link: core.link,
        ...(error && { error }),
      };
      return view;
    },
    watch(listener) {
      listeners.add(listener);
      tell([listener], chat.view);
      return () => void listeners.delete(listener);
    },
    get onQuestion() {
      return onQuestion;
    },
    set onQuestion(handler) {
      onQuestion = handler;
      if (handler && subscription === "yes") for (const question of state.questions) if (!question.answered) ask(question);
    },
    start(params) {
      if (state.id || closed) return Promise.resolve();
      startParams ??= params;
      wanted = true;
      return new Promise((resolve, reject) => {
        started.push({ resolve, reject });
        subscribe();
      });
    },
    send(given, options = {}) {
      const sent = new Promise<string>((resolve, reject) => {
        const entry: Entry = { id: newId(), input: input(given), options, resolve, reject };
        if (closed || state.deleted) return refuse(entry, error ?? new SkeinError("closed", "the chat is closed"));
        wanted = true;
        keepUnsent([...unsent, entry]);
        show();
        subscribe();
        flush();
      });
      // The view has the error, too: nobody has to wait here.
      sent.catch(() => {});
      return sent;
    },
    async steer(given) {
      const turn = running();
      if (!turn) throw new SkeinError("noTurn", "no turn runs");
      await core.call("turn/steer", {
        threadId: state.id!,
        expectedTurnId: turn,
        clientUserMessageId: newId(),
        input: input(given),
      });
    },
    async interrupt() {
      const turn = running();
      if (turn) await core.call("turn/interrupt", { threadId: state.id!, turnId: turn });
    },
    answer: (id: RequestId, answer: QuestionAnswer) => settle(id, { result: answer }),
    async history(pages = 1) {
      for (let page = 0; page < pages && state.id && state.older; page++) {
        const cursor = state.older;
        const answer = await core.call("thread/turns/list", { threadId: state.id, cursor, limit: PAGE, itemsView: "full" });
        if (state.older !== cursor) break;
        show(withOlder(state, answer));
        keepView();
      }
      return !!state.older;
    },
    resend(messageId) {
      for (const entry of unsent) if (entry.id === messageId) entry.error = undefined;
      show();
      subscribe();
      flush();
    },
    discard(messageId) {
      for (const entry of unsent) if (entry.id === messageId) refuse(entry, new SkeinError("discarded", "the message was discarded"));
      keepUnsent(unsent.filter((entry) => entry.id !== messageId));
      show();
    },
    close() {
      if (closed) return;
      closed = true;
      core.parts.delete(part);
      core.forget(chat);
      if (state.id && core.ready) core.request("thread/unsubscribe", { threadId: state.id }, () => {});
    },
  };
  const running = () => state.turns.findLast((turn) => turn.status === "inProgress")?.id;

  core.parts.add(part);
  if (id !== undefined) {
    core.adopt(id, chat);
    void load();
  }
  return chat;
}
