// The list of threads, which follows the server's catalog. A change marks its thread, and a read of the thread brings
// the new row. The mark stays until a read succeeds, so a read that is lost with the link is made again.

import { type Core, type Part, tell } from "./core.ts";
import type { SkeinError } from "./errors.ts";
import { isArchived } from "./reducer.ts";
import type { List, ListOptions, ListView, Row } from "./types.ts";
import type { NeedsYou, SkeinCatalogResumeResponse, ThreadListResponse, ThreadReadResponse, ThreadSearchResponse } from "../../generated/skein.ts";

/** Rows of a page. */
const PAGE = 50;
/** A search is made again this long after a change, in milliseconds. */
const SEARCH_AGAIN = 500;

type Place = { catalogSeq: number; catalogEpoch: string };

const newest = (a: Row, b: Row) => b.updatedAt - a.updatedAt || (a.id < b.id ? 1 : -1);

export function createList(core: Core, options: ListOptions): List {
  const { archived = false, limit = PAGE } = options;
  let term = options.search?.trim() ?? "";
  let rows: Row[] = [];
  let cursor: string | null | undefined;
  let view: ListView = { rows, hasMore: false, loading: true };
  /** Counts lists: an answer to an earlier one is void. */
  let round = 0;
  /** The catalog's number of this list. */
  let place: Place | undefined;
  let listed = false;
  let loading = false;
  let error: SkeinError | undefined;
  let attempt = 0;
  let needsYou: NeedsYou | undefined;
  /** The thread that is being read; another text once the answer is void. */
  let reading: string | undefined;
  let again = false;
  let closed = false;
  const changed = new Set<string>();
  const listeners = new Set<(view: ListView) => void>();

  const show = () => {
    view = { rows, hasMore: !!cursor, loading, ...(needsYou && { needsYou }), ...(error && { error }) };
    tell(listeners, view);
  };
  const request = <T>(method: string, params: object, done: (error: SkeinError | undefined, answer?: T) => void) => {
    const mine = round;
    core.ask(method, params, (error, answer) => {
      if (!closed && mine === round) done(error, answer);
    });
  };

  /** Reads a page: the first one, as long as the list was, or the next one. */
  const page = (first: boolean) => {
    if (closed || !core.ready || (loading && !first)) return;
    if (first) {
      round++;
      reading = undefined;
      listed = false;
    }
    loading = true;
    const size = first ? Math.min(Math.max(limit, rows.length), 100) : limit;
    const params = {
      archived,
      limit: size,
      sortKey: "updated_at",
      ...(term && { searchTerm: term }),
      ...(!first && { cursor }),
    };
    request<ThreadListResponse | ThreadSearchResponse>(term ? "thread/search" : "thread/list", params, (failure, answer) => {
      loading = false;
      if (failure || !Array.isArray(answer?.data)) {
        if (failure?.reason === "linkLost") return;
        if (failure?.passing) return core.retryLater(() => page(first), ++attempt, failure.retryAfterMs);
        error = failure;
        return show();
      }
      attempt = 0;
      error = undefined;
      if (first && answer.skein && "catalogSeq" in answer.skein) {
        place = answer.skein;
        needsYou = answer.skein.needsYou;
      }
      const found = answer.data.map((entry): Row => ("thread" in entry ? { ...entry.thread, snippet: entry.snippet } : entry));
      const states = "readStates" in answer ? answer.readStates : null;
      const added = found.filter((row) => row?.id).map((row) => (states?.[row.id] ? { ...row, readState: states[row.id]! } : row));
      const fresh = new Set(added.map((row) => row.id));
      rows = first ? added : [...rows.filter((row) => !fresh.has(row.id)), ...added];
      cursor = answer.nextCursor;
      listed = true;
      show();
      core.settle();
      readNext();
      // A page of a search takes a bounded time, and can be empty before the last one.
      if (term && !added.length && cursor) core.retryLater(() => page(false), 0);
    });
    show();
  };

  /** Reads the changed threads, one after the other. */
  const readNext = () => {
    if (closed || reading || !listed || !core.ready) return;
    const [id] = changed;
    if (id === undefined) return;
    reading = id;
    changed.delete(id);
    request<ThreadReadResponse>("thread/read", { threadId: id }, (failure, answer) => {
      const counts = reading === id;
      reading = undefined;
      if (failure?.reason === "linkLost") return void changed.add(id);
      if (failure?.passing) {
        changed.add(id);
        return core.retryLater(readNext, ++attempt, failure.retryAfterMs);
      }
      attempt = 0;
      if (counts) answer?.thread?.id === id ? put(answer) : remove(id);
      readNext();
      core.settle();
    });
  };
  const put = ({ thread, readState }: ThreadReadResponse) => {
    const old = rows.find((row) => row.id === thread.id);
    const others = rows.filter((row) => row !== old);
    const row: Row = { ...thread, ...(old?.snippet && { snippet: old.snippet }), ...(readState && { readState }) };
    const last = rows.at(-1);
    const belongs = !thread.ephemeral && isArchived(thread) === archived && (old || !cursor || !last || newest(row, last) < 0);
    rows = belongs ? [...others, row].sort(newest) : others;
    show();
  };
  const remove = (id: string) => {
    changed.delete(id);
    if (reading === id) reading = "removed";
    rows = rows.filter((row) => row.id !== id);
    show();
  };
  const patch = (id: string, change: Partial<Row>) => {
    if (!rows.some((row) => row.id === id)) return;
    rows = rows.map((row) => (row.id === id ? { ...row, ...change } : row));
    show();
  };
  /** In a search, any change may change what is found. */
  const searchAgain = () => {
    if (again) return;
    again = true;
    core.retryLater(
      () => {
        again = false;
        if (term) page(true);
      },
      0,
      SEARCH_AGAIN,
    );
  };

  const part: Part = {
    up() {
      loading = false;
      reading = undefined;
      if (!listed || !place) return page(true);
      const { catalogSeq, catalogEpoch } = place;
      request<SkeinCatalogResumeResponse>("skein/catalog/resume", { after: catalogSeq, catalogEpoch }, (failure, answer) => {
        if (failure?.reason === "linkLost") return;
        if (!answer || answer.tooOld || !Array.isArray(answer.changes)) return page(true);
        place = answer;
        needsYou = answer.needsYou;
        // A chat learns here, too, that its thread was archived meanwhile.
        for (const change of answer.changes) for (const part of [...core.parts]) part.take(change, true);
        show();
      });
      readNext();
    },
    down() {
      if (!core.ready) loading = false;
    },
    settled: () => closed || !!error || listed,
    take({ method, params }, missed) {
      const id: string | undefined = params?.threadId ?? params?.thread?.id;
      const at: Place | undefined = params?.skein;
      if (!id || !at?.catalogSeq) return;
      if (!missed && listed && (at.catalogEpoch !== place?.catalogEpoch || at.catalogSeq > place.catalogSeq)) place = at;
      if (method === "thread/deleted" || method === (archived ? "thread/unarchived" : "thread/archived")) return remove(id);
      if (method === "thread/status/changed" && params.status?.type) patch(id, { status: params.status });
      if (method === "thread/name/updated") patch(id, { name: params.threadName ?? null });
      if (method === "thread/readState/changed") patch(id, { readState: params.readState });
      if (params.needsYou) needsYou = params.needsYou;
      if (term) return searchAgain();
      changed.add(id);
      readNext();
    },
  };

  core.parts.add(part);
  if (core.ready) page(true);
  return {
    get view() {
      return view;
    },
    watch(listener) {
      listeners.add(listener);
      listener(view);
      return () => void listeners.delete(listener);
    },
    more: () => {
      if (cursor) page(false);
    },
    search(text) {
      if (text.trim() === term) return;
      term = text.trim();
      rows = [];
      page(true);
    },
    close() {
      closed = true;
      core.parts.delete(part);
    },
  };
}
