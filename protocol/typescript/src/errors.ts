// One class for all errors.

import type { ErrorData, Reason, WireError } from "../../generated/skein.ts";

/** Reasons of the client itself. */
export type ClientReason =
  | "closed"
  | "linkLost"
  | "refused"
  | "tooLarge"
  | "noTurn"
  | "deleted"
  | "discarded"
  | "badAnswer";

/** What to do after a reason of the client. */
const TODO: { [reason in ClientReason]: string } = {
  closed: "connect again",
  linkLost: "check whether it was done, then try again",
  refused: "get a new token, then retry(token)",
  tooLarge: "send less",
  noTurn: "send a message instead",
  deleted: "open another thread",
  discarded: "",
  badAnswer: "update the client or the server",
};

/** An error of the server or of the client. */
export class SkeinError extends Error {
  readonly code: number;
  /** A word to decide by. An unknown server may send others. */
  readonly reason: Reason | ClientReason | (string & {});
  readonly retryAfterMs: number | undefined;
  /** The next step, where the message does not name it. */
  readonly todo: string;
  readonly data: ErrorData | undefined;

  constructor(reason: string, message: string, code = 0, data?: ErrorData) {
    super(message);
    this.name = "SkeinError";
    this.code = code;
    this.reason = reason;
    this.data = data;
    this.retryAfterMs = data?.retryAfterMs ?? undefined;
    this.todo =
      data?.hint ??
      (this.retryAfterMs === undefined ? (TODO[reason as ClientReason] ?? "") : `try again in ${this.retryAfterMs} ms`);
  }

  /** Whether the same request may succeed later without a change. */
  get passing(): boolean {
    return (
      this.retryAfterMs !== undefined ||
      this.code === -32001 ||
      /^(linkLost|serverStops|serverEnded|busy|dropped|resumesUnderWay|requestsInFlight|steersFull|archivedMeanwhile|withdrawn)$/.test(this.reason)
    );
  }
}

/** The error of an answer, whatever shape it has. */
export function wireError(error: Partial<WireError> | undefined): SkeinError {
  const data = error?.data && typeof error.data === "object" ? error.data : undefined;
  return new SkeinError(data?.reason ?? "badAnswer", String(error?.message ?? error), Number(error?.code) || 0, data);
}
