// One thread: subscribes, applies the events, keeps unsent messages, hands out questions.

import { type Core, type Part, tell } from "./core.ts";
import { SkeinError, wireError } from "./errors.ts";
import { newId } from "./ids.ts";
import { caughtUp, emptyThread, list, type Message, reduce, resumed, withOlder } from "./reducer.ts";
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

/** At most this often a view is stored, in milliseconds. */
const STORE_EVERY = 1000;
/** A page of `history()`, in turns. */
const PAGE = 20;

/** Whether this link is subscribed: not, as an observer of an archived thread, to everything. A negative number is that
 * of the resume whose answer it waits for. */
const NO = 0;
const OBSERVES = 1;
const YES = 2;

type Entry = {
  id: string;
  input: UserInputParam[];
  options: SendOptions;
  error?: SkeinError | undefined;
  /** Sent on this link. */
  sent?: boolean;
  /** The turn of the server's answer. */
  turn?: string;
  done?: (turn: string) => void;
  lost?: (error: SkeinError) => void;
};

const input = (given: string | UserInputParam[]): UserInputParam[] =>
  typeof given === "string" ? [{ type: "text", text: given }] : given;

/** A chat as the connection has it. */
export interface OwnChat extends Chat {
  /** Whether the client's user has asked for it. */
  owned?: boolean;
  /** Takes up what a client has left that has ended; resolves with `false` if it is closed. */
  adopt(kept: unknown): Promise<unknown>;
}

export function createChat(core: Core, id: string | undefined): OwnChat {
  let state: ThreadState = emptyThread(id);
  let view: View | undefined;
  let subscription: number = NO;
  let resumes = 0;
  let loaded = id === undefined;
  let loading: Promise<void> | undefined;
  let closed = false;
  let error: SkeinError | undefined;
  let startParams: ThreadStartParams | undefined;
  let wanted = false;
  let unsent: Entry[] = [];
  let attempt = 0;
  let onQuestion: Chat["onQuestion"];
  let storing = false;
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
    const left = unsent.filter((entry) => {
      const turn = state.turns.findLast(
        (turn) =>
          turn.items.some((item) => item.type === "userMessage" && item.clientId === entry.id) ||
          (turn.id === entry.turn && turn.status !== "inProgress"),
      );
      if (turn) entry.done?.(turn.id);
      return !turn;
    });
    if (left.length < unsent.length) void keepUnsent(left);
  };

  const unsentKey = () => `unsent.${state.id}`;
  const keepUnsent = (next: Entry[]) => {
    unsent = next;
    const kept = unsent.map(({ id, input, options }) => ({ id, input, options }));
    return state.id && stored(() => (kept.length ? core.store.set(unsentKey(), kept) : core.store.delete(unsentKey())));
  };
  /** A store that fails costs only what it stores. */
  const stored = (run: () => unknown): Promise<unknown> => Promise.resolve().then(run).catch(console.warn);
  const keepView = () => {
    if (storing) return;
    storing = true;
    setTimeout(async () => {
      if (!closed && state.at && !state.deleted) await stored(() => core.store.set(`thread.${state.id}`, { v: 1, state }));
      storing = false;
    }, STORE_EVERY);
  };

  const load = async () => {
    // First, before a new message is kept.
    const waiting = await stored(() => core.store.get(unsentKey()));
    const kept = (await stored(() => core.store.get(`thread.${id}`))) as { v?: number; state?: ThreadState } | undefined;
    if (kept?.v === 1 && kept.state?.id === id && Array.isArray(kept.state?.turns)) state = kept.state!;
    unsent = [...list<Entry>(waiting), ...unsent];
    loaded = true;
    go();
  };
  const go = () => {
    show();
    subscribe();
    flush();
  };

  /** Whether it need not be loaded. */
  const observes = () => state.archived && !unsent.some((entry) => !entry.error);
  const subscribe = () => {
    if (closed || !loaded || !core.ready || subscription || state.deleted) return;
    if (!state.id && !wanted) return;
    const mine = (subscription = --resumes);
    const observe = observes();
    const { at } = state.stale ? {} : state;
    const skein = { ...(at && { afterSeq: at.seq, epoch: at.epoch }), ...(observe && { observe }) };
    const done = (failure: SkeinError | undefined, answer?: ThreadStartResponse | ThreadResumeResponse) => {
      if (closed || subscription !== mine) return;
      if (failure || !answer?.thread?.id) return failed(failure ?? wireError());
      subscription = observe ? OBSERVES : YES;
      error = undefined;
      const isNew = !state.id;
      const next = resumed(state, answer);
      if (isNew) {
        core.chats.set(next.id!, chat);
        state = { ...state, id: next.id };
        void keepUnsent(unsent);
      }
      show(next);
      keepView();
      flush();
    };
    if (state.id) core.ask("thread/resume", { threadId: state.id, skein }, done as never);
    else core.ask("thread/start", startParams ?? {}, done as never);
  };

  const again = () => {
    subscription = NO;
    subscribe();
  };
  const failed = (failure: SkeinError) => {
    subscription = NO;
    if (failure.reason === "linkLost") return;
    if (failure.passing) return core.retryLater(subscribe, ++attempt, failure.retryAfterMs);
    if (failure.reason === "threadNotFound" && wanted && !state.turns.length) {
      // A thread without a message is not saved, and a restart of the server forgets it.
      core.chats.delete(state.id!);
      void stored(() => core.store.delete(unsentKey()));
      state = emptyThread();
      return core.retryLater(subscribe, ++attempt);
    }
    end(failure);
  };
  /** Nothing more goes to the thread. */
  const end = (reason: SkeinError) => {
    error = reason;
    for (const entry of unsent) refuse(entry, reason);
    const deleted = /^deleted|threadNotFound$/.test(reason.reason);
    if (deleted) void stored(() => core.store.delete(`thread.${state.id}`));
    show(deleted ? { ...state, deleted, questions: [] } : state);
  };

  const refuse = (entry: Entry, failure: SkeinError): undefined => {
    entry.error = failure;
    entry.lost?.(failure);
  };

  /** Sends the unsent messages, one after the other. */
  const flush = () => {
    if (subscription === OBSERVES && !observes()) return again();
    if (subscription !== YES) return;
    const entry = unsent.find((entry) => !entry.error && !entry.turn);
    if (!entry || entry.sent) return;
    entry.sent = true;
    const params = { ...entry.options, threadId: state.id, clientUserMessageId: entry.id, input: entry.input };
    core.ask("turn/start", params, ((failure: SkeinError | undefined, answer?: TurnStartResponse) => {
      entry.sent = false;
      if (!unsent.includes(entry) || failure?.reason === "linkLost") return;
      if (!failure && answer?.turn?.id) {
        entry.turn = answer.turn.id;
        entry.done?.(entry.turn);
        attempt = 0;
        // A repeated message of a turn that the view may no longer have.
        if (answer.turn.status !== "inProgress") void keepUnsent(unsent.filter((other) => other !== entry));
      } else if (failure?.passing) {
        return core.retryLater(flush, ++attempt, failure.retryAfterMs);
      } else if (failure?.reason === "notLoaded") {
        subscription = NO;
        return core.retryLater(subscribe, ++attempt);
      } else {
        refuse(entry, failure ?? wireError());
      }
      show();
      flush();
    }) as never);
  };

  const ask = (question: Question) => {
    const { id, method } = question;
    const known = answers.get(id);
    if (known) return core.send({ id, ...known });
    // A person can answer later; a tool that the client does not have cannot.
    const nobody = () =>
      /requestUserInput$|elicitation/.test(method) ||
      core.send({ id, error: { code: -32601, message: "nobody can answer" } });
    if (!onQuestion) return void nobody();
    if (handed.has(id)) return;
    handed.add(id);
    Promise.resolve()
      .then(() => onQuestion!(question))
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
    if (subscription === YES) core.send({ id, ...answer });
    show({
      ...state,
      questions: state.questions.map((question) => (question.id === id ? { ...question, answered: true } : question)),
    });
  };

  const part: Part = {
    up() {
      for (const entry of unsent) entry.sent = false;
      again();
    },
    down() {
      if (!core.ready) subscription = NO;
      show();
    },
    settled: () => closed || !!error || state.deleted || (!state.id && !wanted) || (subscription > NO && caughtUp(state)),
    take(message, missed) {
      const { params, method, id } = message as Message & { params: { threadId?: string } };
      if (!state.id || params?.threadId !== state.id) return;
      const moved = /archived$|deleted$/.test(method);
      if (!moved && (missed || subscription < OBSERVES)) return;
      const next = reduce(state, message);
      if (next === state) return;
      show(next);
      if (message.seq !== undefined || method === "thread/reverted") keepView();
      if (id !== undefined) ask(next.questions.find((question) => question.id === id)!);
      if (method === "thread/deleted") {
        end(new SkeinError("deleted"));
      } else if (moved) {
        again();
      } else if (next.stale && subscription) {
        subscription = NO;
        core.retryLater(subscribe, ++attempt);
      }
      if (method === "turn/completed") attempt = 0;
    },
  };

  const chat: OwnChat = {
    async adopt(kept) {
      await loading;
      if (closed) return false;
      await keepUnsent([...unsent, ...list<Entry>(kept)]);
      return go();
    },
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
      listener(chat.view);
      return () => void listeners.delete(listener);
    },
    get onQuestion() {
      return onQuestion;
    },
    set onQuestion(handler) {
      onQuestion = handler;
      if (handler && subscription === YES) for (const question of state.questions) if (!question.answered) ask(question);
    },
    start(params) {
      startParams ??= params;
      wanted = true;
      return new Promise((resolve, reject) => {
        const look = ({ id, error }: View) => {
          if (id) resolve();
          else if (error) reject(error);
          else return;
          listeners.delete(look);
        };
        listeners.add(look);
        go();
      });
    },
    send(given, options = {}) {
      const sent = new Promise<string>((done, lost) => {
        const entry: Entry = { id: newId(), input: input(given), options, done, lost };
        if (closed || state.deleted) return refuse(entry, error ?? new SkeinError("closed"));
        wanted = true;
        void keepUnsent([...unsent, entry]);
        go();
      });
      // The view has the error, too: nobody has to wait here.
      sent.catch(() => {});
      return sent;
    },
    async steer(given) {
      await core.call("turn/steer", {
        threadId: state.id!,
        // Where none runs, the server says so.
        expectedTurnId: running() ?? "none",
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
      while (pages-- > 0 && state.older) {
        const cursor = state.older;
        const answer = await core.call("thread/turns/list", { threadId: state.id!, cursor, limit: PAGE, itemsView: "full" });
        if (state.older !== cursor) break;
        show(withOlder(state, answer));
        keepView();
      }
      return !!state.older;
    },
    resend(messageId) {
      for (const entry of unsent) if (entry.id === messageId) entry.error = undefined;
      go();
    },
    discard(messageId) {
      void keepUnsent(unsent.filter((entry) => entry.id !== messageId || refuse(entry, new SkeinError("discarded"))));
      show();
    },
    close() {
      closed = true;
      if (!core.parts.delete(part)) return;
      core.chats.delete(state.id!);
      if (subscription) core.ask("thread/unsubscribe", { threadId: state.id }, () => {});
    },
  };
  const running = () => state.turns.findLast((turn) => turn.status === "inProgress")?.id;

  core.parts.add(part);
  if (id !== undefined) {
    core.chats.set(id, chat);
    loading = load();
  }
  return chat;
}
