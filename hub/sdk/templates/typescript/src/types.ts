/** How the operations of the contract become calls. All of it follows from `contract.ts`. */
import type { components, operations } from "./contract.js";

export type Schemas = components["schemas"];
export type OperationId = keyof operations;

/** Which source record stands behind one field, how old it is, and whether that is too old. */
export type Provenance = Schemas["Provenance"];

type Simplify<T> = { [K in keyof T]: T[K] } & {};
type Given<T, K extends PropertyKey> = K extends keyof T ? NonNullable<T[K]> : never;

export type PathOf<O extends OperationId> = operations[O]["parameters"] extends { path: infer P } ? P : unknown;
export type QueryOf<O extends OperationId> = operations[O]["parameters"] extends { query?: infer Q }
  ? NonNullable<Q>
  : Record<never, never>;
export type Answer<O extends OperationId> = operations[O]["responses"] extends {
  200: { content: { "application/json": infer A } };
}
  ? A
  : never;

/** What a write is given in the body. */
export type BodyOf<O extends OperationId> = operations[O] extends {
  requestBody: { content: { "application/json": infer B } };
}
  ? B
  : unknown;
type MatchOf<O extends OperationId> = operations[O]["parameters"] extends { header: { "If-Match": string } }
  ? { ifMatch: string }
  : { ifMatch?: string };
type Result<O extends OperationId> = {
  [S in 200 | 201]: operations[O]["responses"] extends Record<S, { content: { "application/json": infer A } }> ? A : never;
}[200 | 201];

/** A write that the hub has. */
export interface Written<T> {
  /** Its reference: `command({ reference })` says what becomes of it. */
  command: string;
  /** Null while it is not done. */
  result: T | null;
  /** The hub had this very request before, and did nothing twice. */
  replayed: boolean;
}

export type WriteArguments<O extends OperationId> = Simplify<
  PathOf<O> &
    BodyOf<O> &
    MatchOf<O> & {
      /** Left out, it is a new one for each call. */
      idempotencyKey?: string;
    }
>;

export type Write<O extends OperationId> = (args: WriteArguments<O>) => Promise<Written<Result<O>>>;

/** What can be asked for beside a record's own values, such as `provenance`. */
export type IncludeOf<O extends OperationId> = Given<QueryOf<O>, "include"> extends (infer I extends string)[]
  ? I
  : never;

/** The locales that the hub keeps texts in. */
export type Locale = { [O in OperationId]: Given<QueryOf<O>, "locale"> }[OperationId];

type OptionalKeys<T> = { [K in keyof T]-?: object extends Pick<T, K> ? K : never }[keyof T];
type Asked<T, I extends readonly string[]> =
  | ("provenance" extends I[number] ? Extract<OptionalKeys<T>, "provenance"> : never)
  | ("parts" extends I[number] ? Exclude<OptionalKeys<T>, "provenance"> : never);

/** A record with what was included: those members are there, and not optional any more. */
export type Included<T, I extends readonly string[]> = I extends readonly []
  ? T
  : Simplify<Omit<T, Asked<T, I>> & Required<Pick<T, Asked<T, I>>>>;

type Paging = "limit" | "cursor" | "locale" | "include";

export type OneArguments<O extends OperationId, I extends readonly string[]> = Simplify<
  PathOf<O> & Omit<QueryOf<O>, "include"> & { include?: I }
>;

export interface ManyArguments<O extends OperationId, I extends readonly string[]> {
  filter?: Omit<QueryOf<O>, Paging>;
  /** Records a page. */
  first?: number;
  /** `next` of the page before. */
  after?: string;
  locale?: Locale;
  include?: I;
}

/** One page; `next` is null on the last. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

/** `await` it for one page, or walk it with `for await` for every record from there on. */
export interface Pages<T> extends PromiseLike<Page<T>>, AsyncIterable<T> {}

type ItemOf<O extends OperationId> = Answer<O> extends { items: (infer T)[] } ? T : never;

export type One<O extends OperationId> = <const I extends readonly IncludeOf<O>[] = []>(
  args: OneArguments<O, I>,
) => Promise<Included<Answer<O>, I>>;

export type Many<O extends OperationId> = <const I extends readonly IncludeOf<O>[] = []>(
  args?: ManyArguments<O, I>,
) => Pages<Included<ItemOf<O>, I>>;
