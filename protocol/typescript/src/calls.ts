// Requests and their answers, by id.

import { SkeinError, wireError } from "./errors.ts";

/** Gets an error, or the result. It runs before the next message is applied. */
export type Done = (error: SkeinError | undefined, result?: never) => void;

/** The close code for a message above the server's limit. */
const TOO_LARGE = 1009;

/** The requests of one link that have no answer yet. */
export function createCalls(send: (message: object) => number) {
  let last = 0;
  let open = new Map<unknown, { done: Done; size: number }>();
  return {
    ask(method: string, params: unknown, done: Done): void {
      const id = ++last;
      // The answer never comes before this returns.
      open.set(id, { done, size: send({ id, method, params }) });
    },
    /** Takes an answer. An answer to nobody is ignored. */
    answer(message: { id?: unknown; result?: unknown; error?: object }): void {
      const call = open.get(message.id);
      if (!call) return;
      open.delete(message.id);
      call.done(message.error === undefined ? undefined : wireError(message.error), message.result as never);
    },
    /** Ends all requests: their link is gone. After 1009 the largest one is what the server refused. */
    lose(code?: number): void {
      const lost = [...open.values()];
      open = new Map();
      const largest = code === TOO_LARGE ? Math.max(...lost.map((call) => call.size)) : Infinity;
      for (const { done, size } of lost) {
        done(
          size >= largest
            ? new SkeinError("tooLarge")
            : new SkeinError("linkLost", "the link broke: was it done?"),
        );
      }
    },
  };
}
