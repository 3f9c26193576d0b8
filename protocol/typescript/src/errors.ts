// One class for all errors.

import type { ErrorData, Reason, WireError } from "../../generated/skein.ts";

/** Reasons of the client itself. */
export type ClientReason =
  | "closed"
  | "linkLost"
  | "refused"
  | "tooLarge"
  | "deleted"
  | "discarded"
  | "badAnswer";

/** An error of the server or of the client. */
export class SkeinError extends Error {
  declare readonly code: number;
  /** A word to decide by. An unknown server may send others. */
  declare readonly reason: Reason | ClientReason | (string & {});
  declare readonly retryAfterMs: number | undefined;
  /** What to do, where the message does not say it. */
  declare readonly todo: string;
  declare readonly data: ErrorData | undefined;

  constructor(reason: string, message = reason, code = 0, data?: ErrorData) {
    super(message);
    const retryAfterMs = data?.retryAfterMs ?? undefined;
    const todo = data?.hint ?? (retryAfterMs ? `try again in ${retryAfterMs} ms` : "");
    Object.assign(this, { name: "SkeinError", code, reason, data, retryAfterMs, todo });
  }

  /** Whether the same request may succeed later without a change. */
  get passing(): boolean {
    return this.retryAfterMs !== undefined || /^(linkLost|server(Stops|Ended)|dropped|archivedMeanwhile|withdrawn)$/.test(this.reason);
  }
}

/** The error of an answer, whatever shape it has; or the error that an answer has no shape that is known. */
export function wireError(error?: Partial<WireError>): SkeinError {
  const data = error?.data ?? undefined;
  return new SkeinError(data?.reason ?? "badAnswer", String(error?.message ?? "bad answer"), error?.code, data);
}
