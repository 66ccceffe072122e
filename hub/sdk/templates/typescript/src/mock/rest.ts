/** REST as the contract has it: refuses what the contract refuses, answers what it promises. */
import type { Contract, Entity, Route } from "./contract.js";
import { BadCursor, page } from "./lists.js";
import type { Values, World } from "./world.js";

export interface Answer {
  status: number;
  body: unknown;
}

const PAGING = new Set(["limit", "cursor", "locale", "include"]);
const CORRELATION = "0".repeat(32);

/** Keys that begin so are nobody's, so that a 404 can be tried. */
export const MISSING = /^missing/i;

export function problem(status: number, code: string, detail: string, parameter?: string): Answer {
  const title = code.replace(/_/g, " ").replace(/^./, (first) => first.toUpperCase());
  const body: Values = { type: `urn:headwater:problem:${code}`, title, status, code, detail, correlation_id: CORRELATION };
  if (parameter) body["errors"] = [{ parameter, detail }];
  return { status, body };
}

export function rest(contract: Contract, world: World, url: URL): Answer {
  for (const route of contract.routes) {
    const found = route.pattern.exec(url.pathname);
    if (!found) continue;
    const path = Object.fromEntries(route.names.map((name, at) => [name, decodeURIComponent(found[at + 1] as string)]));
    return refusal(route, url) ?? answer(contract, world, route, path, url.searchParams);
  }
  return problem(404, "not_found", `there is nothing at ${url.pathname}`);
}

function answer(contract: Contract, world: World, route: Route, path: Record<string, string>, query: URLSearchParams): Answer {
  const include = query.get("include")?.split(",") ?? [];
  const entity = [...contract.entities.values()].find((one) => route.path.split("/").includes(one.plural));
  if (!entity) return { status: 200, body: world.any(route.schema, "answer", route.path) };
  const listed = contract.resolved(route.schema).properties?.["items"]?.items;
  if (listed && route.names.length === 0) return list(contract, world, entity, route, query, include);
  const key = path[entity.key] ?? "";
  if (MISSING.test(key)) return problem(404, "not_found", `there is no ${entity.name} ${key}`);
  if (contract.entityOf(route.schema)) return { status: 200, body: world.record(entity, key, route.schema, [...include, "parts"]) };
  const made = world.any(route.schema, "answer", `${route.path}/${key}`);
  const told: Values = { entity: entity.name, key, ...path };
  const known = Array.isArray(made) ? [] : Object.keys(made as Values).filter((name) => name in told);
  return { status: 200, body: Array.isArray(made) ? made : { ...(made as Values), ...Object.fromEntries(known.map((name) => [name, told[name]])) } };
}

function list(contract: Contract, world: World, entity: Entity, route: Route, query: URLSearchParams, include: string[]): Answer {
  const item = contract.resolved(route.schema).properties?.["items"]?.items ?? {};
  const usual = route.operation.parameters?.find((one) => one.name === "limit")?.schema as { default?: number } | undefined;
  const filter = Object.fromEntries([...query].filter(([name]) => !PAGING.has(name)));
  const limit = Number(query.get("limit") ?? usual?.default ?? 20);
  try {
    const { items, next } = page(contract, world, entity, item, { filter, limit, cursor: query.get("cursor") ?? undefined, include });
    return { status: 200, body: { items, next } };
  } catch (error) {
    if (error instanceof BadCursor) return problem(400, "bad_input", error.message, "cursor");
    throw error;
  }
}

/** The problem with a query, if there is one. */
function refusal(route: Route, url: URL): Answer | undefined {
  const known = (route.operation.parameters ?? []).filter((one) => one.in === "query");
  for (const [name, value] of url.searchParams) {
    const parameter = known.find((one) => one.name === name);
    if (!parameter) {
      const names = known.map((one) => one.name).join(", ") || "none";
      return problem(400, "bad_input", `unknown parameter '${name}'; known are ${names}`, name);
    }
    const { schema } = parameter;
    const choices = schema.enum ?? schema.items?.enum;
    if (choices && value.split(",").some((one) => !choices.includes(one)))
      return problem(400, "bad_input", `${name} must be one of ${choices.join(", ")}`, name);
    const number = Number(value);
    const outside = number < (schema.minimum ?? -Infinity) || number > (schema.maximum ?? Infinity);
    if (schema.type === "integer" && (!/^-?\d+$/.test(value) || outside))
      return problem(400, "bad_input", `${name} must be a whole number from ${schema.minimum} to ${schema.maximum}`, name);
  }
  return undefined;
}
