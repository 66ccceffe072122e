/** `graphql(...)`: a document with the types of its answer and its variables, from the hub's schema. */
import { initGraphQLTada } from "gql.tada";
import type { Scalars } from "./scalars.js";
import type { introspection } from "./schema.js";

export const graphql = /* @__PURE__ */ initGraphQLTada<{ introspection: typeof introspection; scalars: Scalars }>();
export type { FragmentOf, ResultOf, VariablesOf } from "gql.tada";
export { readFragment } from "gql.tada";
