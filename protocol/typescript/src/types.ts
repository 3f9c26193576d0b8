// The public types of skein-client. Those of the protocol come from the generated table.

import type { Core } from "./core.ts";
import type { SkeinError } from "./errors.ts";
import type {
  ClientInfo,
  ClientNotifications,
  Methods,
  NeedsYou,
  Notifications,
  RequestId,
  ServerRequests,
  Thread,
  ThreadItem,
  ThreadReadState,
  ThreadStartParams,
  ThreadStatus,
  ThreadTokenUsage,
  Turn,
  TurnStartParams,
  UserInputParam,
} from "../../generated/skein.ts";

export type * from "../../generated/skein.ts";

/** Where the client keeps views and unsent messages: `memory()`, `webStorage(localStorage)` or `indexedDb("name")`. */
export interface Store {
  get(key: string): unknown;
  set(key: string, value: unknown): unknown;
  delete(key: string): unknown;
  /** The storage as one client sees it. A storage that only one client uses needs none. */
  open?(): OwnStore;
}

/** A storage that keeps the unsent messages of each client apart. */
export interface OwnStore extends Store {
  /** From now on `core` sends the messages of clients that have ended. */
  abandoned(core: Core): void;
  /** The client ends: others may take up what it leaves. */
  close(): void;
}

/** What `connect` needs. Only `url` has no default. */
export interface Options {
  /** `ws://HOST:PORT` or `wss://…`, without a secret in it. */
  url: string;
  /** Session or token. It travels as a subprotocol, never in an address. */
  token?: string | undefined;
  clientInfo?: ClientInfo;
  storage?: Store;
  /** Doubles for tests. */
  WebSocket?: new (url: string, protocols?: string[]) => WebSocket;
  fetch?: typeof fetch;
  random?: () => number;
  now?: () => number;
}

export type LinkState = "connecting" | "live" | "catchingUp" | "reconnecting" | "refused" | "closed";

/** The connection to the server. Times are Unix milliseconds. */
export interface Link {
  readonly state: LinkState;
  /** Start of this state. */
  readonly since: number;
  /** Time of the next try, while reconnecting and waiting. */
  readonly nextTry?: number;
  /** `reason` and `message` of the refusal; `origin`: the server does not allow the page's origin. */
  readonly reason?: string;
  readonly message?: string;
}

/** An item of a turn: the protocol's own, completed by deltas. `progress` is the last word of a running tool. */
export type Item = ThreadItem & { progress?: string };

/** A turn with its items. `saved: false`: the disk did not take it, and it is lost when the server ends. */
export type TurnView = Omit<Turn, "items"> & { items: readonly Item[]; saved?: false };

/** A question of the server. `answered`: this client has answered, and the server has not confirmed it yet. */
export type Question = {
  [R in keyof ServerRequests]: {
    id: RequestId;
    method: R;
    params: ServerRequests[R]["params"];
    answered?: true;
  };
}[keyof ServerRequests];

/** The answer to any question, as the protocol defines it for the question's method. */
export type QuestionAnswer = ServerRequests[keyof ServerRequests]["result"];

/** A message that the server has not confirmed. With `error` it is not sent again until `resend(id)`. */
export interface Unsent {
  readonly id: string;
  readonly input: readonly UserInputParam[];
  readonly error?: SkeinError;
}

/** The state of one thread: what the pure reducer computes from answers and events. */
export interface ThreadState {
  readonly id: string | undefined;
  readonly name: string | null;
  readonly status: ThreadStatus;
  readonly turns: readonly TurnView[];
  readonly questions: readonly Question[];
  readonly usage?: ThreadTokenUsage;
  readonly model?: string;
  readonly modelProvider?: string;
  readonly cwd?: string;
  /** The number of the last applied event and the version of the history. Stored together with the rest. */
  readonly at?: { seq: number; epoch: number };
  /** The end of the running replay. */
  readonly replayTo?: number;
  /** The cursor of older turns, which `history()` reads. */
  readonly older?: string;
  /** The last resume could not continue: the view was replaced by the server's. */
  readonly gaps: boolean;
  /** The last error of the running turn that is about to be tried again. */
  readonly retrying?: { turnId: string; message: string };
  /** The numbers contradict the view: it has to be read again from the start. */
  readonly stale?: true;
  readonly deleted?: true;
  readonly archived?: true;
}

/** What a chat shows; a new object for each change. */
export interface View extends ThreadState {
  readonly unsent: readonly Unsent[];
  readonly link: Link;
  /** Why the thread cannot be shown or continued. */
  readonly error?: SkeinError;
}

/** Settings of one message, such as `model` or `effort`. */
export type SendOptions = Omit<Partial<TurnStartParams>, "threadId" | "input" | "clientUserMessageId">;

/** One thread. */
export interface Chat {
  /** The thread's id; undefined until the thread has started. */
  readonly id: string | undefined;
  readonly view: View;
  /** Calls `listener` now, then for each new view. Returns the way to stop. */
  watch(listener: (view: View) => void): () => void;
  /** Gets each question once. The answer goes to the server; `undefined` leaves the question to `answer()`. */
  onQuestion: ((question: Question) => Promise<QuestionAnswer | undefined> | QuestionAnswer | undefined) | undefined;
  /** Starts the thread with settings. Without it the first `send` starts the thread. */
  start(params?: ThreadStartParams): Promise<void>;
  /** Sends a message, or adds it to the running turn. Kept while offline. Resolves with the id of the turn. */
  send(input: string | UserInputParam[], options?: SendOptions): Promise<string>;
  /** Adds to the running turn; rejects if none runs. */
  steer(input: string | UserInputParam[]): Promise<void>;
  /** Interrupts the running turn, if any. */
  interrupt(): Promise<void>;
  /** Answers a question. The answer is sent again if the link breaks before it arrives. */
  answer(id: RequestId, answer: QuestionAnswer): void;
  /** Reads older turns into the view. Resolves with whether there are more. */
  history(pages?: number): Promise<boolean>;
  /** Sends a failed message again, with the same id. */
  resend(messageId: string): void;
  /** Removes an unsent message. */
  discard(messageId: string): void;
  /** Ends the subscription. A later `thread(id)` opens the thread again. */
  close(): void;
}

/** A row of the list. `snippet` is there in the results of a search. */
export type Row = Thread & { snippet?: string; readState?: ThreadReadState | null };

export interface ListView {
  readonly rows: readonly Row[];
  readonly hasMore: boolean;
  readonly loading: boolean;
  /** The questions that wait in all threads, of a server that says so. */
  readonly needsYou?: NeedsYou;
  readonly error?: SkeinError;
}

export interface ListOptions {
  search?: string;
  archived?: boolean;
  /** Rows of a page; 50 by default. */
  limit?: number;
}

/** The list of threads, newest first. It follows the server by itself. */
export interface List {
  readonly view: ListView;
  watch(listener: (view: ListView) => void): () => void;
  /** Reads one more page. */
  more(): void;
  /** Searches names and messages; an empty text shows the whole list again. */
  search(text: string): void;
  close(): void;
}

/** A message of the server as it came, for `on("*")`. */
export type AnyMessage = { method: string; params: unknown; seq?: number; epoch?: number; emittedAtMs?: number };

/** A connection without the list: `skein-client/core`. */
export interface SkeinCore {
  call<M extends keyof Methods>(method: M, params: Methods[M]["params"]): Promise<Methods[M]["result"]>;
  notify<N extends keyof ClientNotifications>(method: N, params: ClientNotifications[N]): void;
  /** Calls `listener` for each notification of this method; `*` is every message. Returns the way to stop. */
  on<N extends keyof Notifications>(method: N, listener: (params: Notifications[N], message: AnyMessage) => void): () => void;
  on(method: "*", listener: (params: unknown, message: AnyMessage) => void): () => void;
  /** The chat of a thread, one object for each id. Without an id it is a new thread. */
  thread(id?: string): Chat;
  readonly link: Link;
  watchLink(listener: (link: Link) => void): () => void;
  /** Tries now. It is the way out of `refused`, with a new token where the old one was refused. */
  retry(token?: string): void;
  close(): void;
}

/** A connection. */
export interface Skein extends SkeinCore {
  threads(options?: ListOptions): List;
}
