import type { KnownCode } from "./operations.js";
import type { Schemas } from "./types.js";

/**
 * The hub's stable code, the same in REST, in GraphQL and in the hub's logs. Three are the client's:
 * `unreachable`, `garbled` (an answer that is none of the hub's), `contract` (refused by `check`).
 */
export type ErrorCode = KnownCode | "unreachable" | "garbled" | "contract" | (string & Record<never, never>);

/** Whatever goes wrong in a call. `message` says what, and the remedy where the hub knows one. */
export class HeadwaterError extends Error {
  override readonly name = "HeadwaterError";

  constructor(
    message: string,
    readonly code: ErrorCode,
    /** HTTP status; 0 where there was no answer. */
    readonly status: number,
    /** By which the hub's logs find the request. */
    readonly correlationId: string,
    /** Which parameters are wrong, where some are. */
    readonly errors: readonly Schemas["ProblemError"][] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export const isProblem = (body: unknown): body is Schemas["Problem"] =>
  typeof body === "object" && body !== null && "code" in body && "detail" in body;
