import { print } from "@0no-co/graphql.web";
import type { DocumentDecoration } from "gql.tada";
import createClient, { type Client } from "openapi-fetch";
import type { paths } from "./contract.js";
import { HeadwaterError, isProblem } from "./errors.js";
import { type Operations, TABLE, WRITES, type Writes } from "./operations.js";
import { paged } from "./pages.js";
import type { Locale, OperationId, Page, Written } from "./types.js";

/** Judges an answer; `headwater/check` has one that holds it against the Zod schemas. */
export type Check = (operation: OperationId, answer: unknown) => unknown;

export interface Options {
  /** Where the hub is: `https://hub.example`. */
  baseUrl: string;
  apiKey?: string;
  /** For every call that takes one and is given none. */
  locale?: Locale;
  /** For every list that can be narrowed by market and is not. */
  market?: string;
  fetch?: typeof globalThis.fetch;
  check?: Check;
}

export interface Headwater extends Operations, Writes {
  /** A GraphQL document, written with `graphql` of `headwater/graphql` or made by any other tool. */
  query<Result, Variables>(
    document: DocumentDecoration<Result, Variables>,
    ...variables: object extends Variables ? [variables?: Variables] : [variables: Variables]
  ): Promise<Result>;
  /** Every address of the REST API, by path: the typed client of openapi-fetch. */
  rest: Client<paths>;
}

type Values = Record<string, unknown>;
type Exchange = Promise<{ data?: unknown; error?: unknown; response: Response }>;
interface Transport {
  request(method: string, path: string, init: Values): Exchange;
}

export function createHeadwater(options: Options): Headwater {
  const { baseUrl, apiKey, fetch = globalThis.fetch, check } = options;
  const base = baseUrl.replace(/\/+$/, "");
  const headers: Record<string, string> = apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
  const rest = createClient<paths>({
    baseUrl: base,
    headers,
    fetch: (request) => fetch(request),
    querySerializer: { array: { style: "form", explode: false } },
  });
  const transport = rest as unknown as Transport;
  const usual: Values = { locale: options.locale, market: options.market };

  async function call(id: OperationId, path: string, names: readonly string[], values: Values): Promise<unknown> {
    const given = { ...values };
    for (const name of names) given[name] ??= usual[name];
    const { data, error, response } = await reached(
      transport.request("get", path, {
        params: { path: picked(given, (name) => path.includes(`{${name}}`)), query: picked(given, (name) => names.includes(name)) },
      }),
    );
    if (error !== undefined || data === undefined) throw refused(error, response);
    const tag = response.headers.get("ETag");
    if (tag && typeof data === "object" && data !== null) tags.set(data, tag);
    return check ? check(id, data) : data;
  }

  /** Under one key, however often it has to be sent. */
  async function write(id: OperationId, method: string, path: string, values: Values): Promise<Written<unknown>> {
    const { idempotencyKey = `"${crypto.randomUUID()}"`, ifMatch, ...given } = values;
    const inPath = (name: string): boolean => path.includes(`{${name}}`);
    const body = picked(given, (name) => !inPath(name));
    for (let left = TRIES - 1; ; left -= 1) {
      try {
        const { data, error, response } = await reached(
          transport.request(method, path, {
            params: { path: picked(given, inPath) },
            headers: picked({ "Idempotency-Key": idempotencyKey, "If-Match": ifMatch }, () => true),
            ...(Object.keys(body).length ? { body } : {}),
          }),
        );
        if (error !== undefined || data === undefined) throw refused(error, response);
        const result = response.status === 202 ? null : check ? check(id, data) : data;
        const command = response.headers.get("Headwater-Command") ?? "";
        return { command, result, replayed: response.headers.get("Idempotent-Replayed") === "true" };
      } catch (error) {
        if (!(error instanceof HeadwaterError) || !AGAIN.has(error.code) || left === 0) throw error;
        await new Promise((waited) => setTimeout(waited, PAUSE));
      }
    }
  }

  const calls: Values = {};
  for (const [name, [id, path, names, many]] of Object.entries(TABLE)) {
    calls[name] = many
      ? ({ filter, first, after, ...others }: Values = {}) =>
          paged(after as string | undefined, (cursor) =>
            call(id, path, names, { ...others, ...(filter as Values), limit: first, cursor }) as Promise<Page<unknown>>,
          )
      : (values: Values) => call(id, path, names, values);
  }

  for (const [name, [id, method, path]] of Object.entries(WRITES)) {
    calls[name] = (values: Values) => write(id, method, path, values);
  }

  async function query(document: object, variables: object = {}): Promise<unknown> {
    const sent = fetch(`${base}/graphql`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({ query: print(document as Parameters<typeof print>[0]), variables }),
    });
    const response = await reached(sent);
    const body = (await response.json().catch(() => undefined)) as GraphQLAnswer | undefined;
    const first = body?.errors?.[0];
    if (first) {
      const told = first.extensions ?? {};
      throw new HeadwaterError(first.message, told.code ?? "garbled", response.status, correlation(response));
    }
    if (!body?.data) throw refused(body, response);
    return body.data;
  }

  return { ...calls, query, rest } as unknown as Headwater;
}

/** A write whose answer is not known is sent again, which does nothing twice: so often, after milliseconds. */
const TRIES = 3;
const PAUSE = 1000;
const AGAIN: ReadonlySet<string> = new Set(["unreachable", "idempotency_key_in_flight"]);
const tags = new WeakMap<object, string>();

/** What a change of a record that was read says it is a change of: `ifMatch`. */
export const etagOf = (record: object): string | undefined => tags.get(record);

interface GraphQLAnswer {
  data?: unknown;
  errors?: { message: string; extensions?: { code?: string } }[];
}

const picked = (values: Values, wanted: (name: string) => boolean): Values =>
  Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== undefined && wanted(name)));

const correlation = (response: Response): string => response.headers.get("X-Correlation-ID") ?? "";

async function reached<T>(exchange: Promise<T>): Promise<T> {
  try {
    return await exchange;
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      throw new HeadwaterError("the answer is no JSON: is this the hub's address?", "garbled", 0, "", [], { cause });
    }
    throw new HeadwaterError("the hub cannot be reached", "unreachable", 0, "", [], { cause });
  }
}

function refused(body: unknown, response: Response): HeadwaterError {
  if (isProblem(body)) {
    return new HeadwaterError(body.detail, body.code, body.status, body.correlation_id, body.errors);
  }
  return new HeadwaterError(`the hub answered ${response.status}`, "garbled", response.status, correlation(response));
}
