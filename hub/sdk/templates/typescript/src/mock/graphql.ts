/** GraphQL over the same records: what REST shows of a record under a member's name is its field. */
import {
  buildSchema,
  getNamedType,
  getNullableType,
  graphql as run,
  type GraphQLFieldResolver,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  isEnumType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
} from "graphql";
import type { Contract, Entity } from "./contract.js";
import { page } from "./lists.js";
import { MISSING } from "./rest.js";
import type { Values, World } from "./world.js";

/** A record, known by its key; anything else is the object as it stands. */
interface Handle {
  entity: Entity;
  key: string;
  shown: Values;
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const isHandle = (value: unknown): value is Handle => typeof value === "object" && value !== null && "shown" in value;
const LEAVES: Record<string, object> = {
  Int: { type: "integer" },
  Float: { type: "number" },
  Boolean: { type: "boolean" },
  Decimal: { type: "string", format: "decimal" },
  DateTime: { type: "string", format: "date-time" },
  Date: { type: "string", format: "date" },
};

export function responder(contract: Contract, world: World, sdl: string): (body: Values) => Promise<unknown> {
  const schema = buildSchema(sdl);

  const handle = (entity: Entity, key: string): Handle => ({
    entity,
    key,
    shown: world.record(entity, key, world.schema(entity.type).schema, ["parts", "provenance"]),
  });

  /** A value of REST as a value of a GraphQL type: records become handles. */
  const shaped = (value: unknown, type: GraphQLOutputType): unknown => {
    if (value === null || value === undefined) return null;
    const wanted = getNullableType(type);
    if (isListType(wanted)) {
      if (Array.isArray(value)) return value.map((one) => shaped(one, wanted.ofType));
      // `{name: locale}` is a list of `{field, locale}` here.
      const inner = getNamedType(wanted);
      const [first = "", second = ""] = isObjectType(inner) ? Object.keys(inner.getFields()) : [];
      return Object.entries(value).map(([name, one]) => ({ [first]: name, [second]: one }));
    }
    const entity = contract.entities.get(getNamedType(wanted).name);
    if (!entity) return value;
    const key = typeof value === "object" ? (value as Values)[entity.key] : value;
    return key === undefined || key === null ? null : handle(entity, String(key));
  };

  /** What REST does not show: the records that refer to this one, or any value of the type. */
  const made = (source: unknown, info: GraphQLResolveInfo, type: GraphQLOutputType): unknown => {
    const wanted = getNullableType(type);
    const named = getNamedType(wanted);
    const entity = contract.entities.get(named.name);
    if (isListType(wanted)) {
      if (!entity || !isHandle(source)) return [];
      return world.partsOf(source.entity, source.key, entity).map((key) => handle(entity, key));
    }
    if (!isLeafType(named)) return isNonNullType(type) && !entity ? {} : null;
    if (isEnumType(named)) return named.getValues()[0]?.value;
    return world.any(LEAVES[named.name] ?? { type: "string" }, snake(info.fieldName), JSON.stringify(info.path));
  };

  const connection = (args: Values, entity: Entity): Values => {
    const listed = page(contract, world, entity, world.schema(entity.type).schema, {
      filter: Object.fromEntries(Object.entries((args["filter"] ?? {}) as Values).map(([name, value]) => [snake(name), value])),
      limit: Number(args["first"] ?? 20),
      cursor: args["after"] as string | undefined,
      include: ["parts"],
    });
    const nodes = listed.items.map((item) => handle(entity, String(item[entity.key])));
    return {
      nodes,
      edges: nodes.map((node, at) => ({ node, cursor: listed.cursors[at] })),
      pageInfo: {
        hasNextPage: listed.next !== null,
        hasPreviousPage: args["after"] !== undefined,
        startCursor: listed.cursors[0] ?? null,
        endCursor: listed.cursors.at(-1) ?? null,
      },
    };
  };

  const root = (args: Values, info: GraphQLResolveInfo): unknown => {
    const named = getNamedType(info.returnType);
    const nodes = isObjectType(named) ? named.getFields()["nodes"] : undefined;
    const entity = contract.entities.get(nodes ? getNamedType(nodes.type).name : named.name);
    if (!entity) return {};
    if (nodes) return connection(args, entity);
    const key = String(args[entity.key]);
    return MISSING.test(key) ? null : handle(entity, key);
  };

  const resolve: GraphQLFieldResolver<unknown, unknown, Values> = (source, args, _context, info) => {
    if (info.parentType === schema.getQueryType()) return root(args, info);
    const name = snake(info.fieldName);
    if (!isHandle(source)) {
      const given = (source ?? {}) as Values;
      const value = info.fieldName in given ? given[info.fieldName] : given[name];
      if (isHandle(value) || (Array.isArray(value) && value.some(isHandle))) return value;
      return value === undefined ? made(source, info, info.returnType) : shaped(value, info.returnType);
    }
    const value = source.shown[name];
    if (name === "explain") return { entity: source.entity.name, key: source.key, ...args };
    return value === undefined ? made(source, info, info.returnType) : shaped(value, info.returnType);
  };

  return (body) =>
    run({
      schema,
      source: String(body["query"] ?? ""),
      variableValues: body["variables"] as Values | undefined,
      fieldResolver: resolve,
    });
}
