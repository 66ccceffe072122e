export { type Check, createHeadwater, etagOf, type Headwater, type Options } from "./client.js";
export type { components, operations, paths } from "./contract.js";
export { type ErrorCode, HeadwaterError } from "./errors.js";
export { provenanceOf, staleFields } from "./freshness.js";
export type * from "./models.js";
export type { KnownCode, Operations, Writes } from "./operations.js";
export type { Answer, Included, Locale, OperationId, Page, Pages, Schemas, Written } from "./types.js";
