/** Pages of records, narrowed and cut as the contract's lists are. */
import type { Contract, Entity, Schema } from "./contract.js";
import type { Values, World } from "./world.js";

export interface Wanted {
  filter: Values;
  limit: number;
  cursor: string | undefined;
  include: readonly string[];
}

export interface Page {
  items: Values[];
  next: string | null;
  /** Where each record stands, as a cursor that the next page may begin after. */
  cursors: string[];
}

export class BadCursor extends Error {}

export function page(contract: Contract, world: World, entity: Entity, item: Schema, wanted: Wanted): Page {
  const all = world.keys(entity).map((key) => world.record(entity, key, item, wanted.include));
  const kept = all.filter((record) => Object.entries(wanted.filter).every(([name, value]) => fits(record, name, value)));
  const start = wanted.cursor === undefined ? 0 : position(wanted.cursor);
  const items = kept.slice(start, start + wanted.limit);
  const cursors = items.map((_, at) => cursor(start + at + 1));
  return { items, cursors, next: start + items.length < kept.length ? (cursors.at(-1) ?? null) : null };
}

/** A filter that is no member of the record (a switch) keeps all. */
function fits(record: Values, name: string, value: unknown): boolean {
  if (name === "changed_since") return Date.parse(String(record["changed_at"])) >= Date.parse(String(value));
  if (!(name in record)) return true;
  const member = record[name];
  if (member && typeof member === "object") return Object.values(member).includes(value);
  return String(member) === String(value);
}

const cursor = (at: number): string => Buffer.from(`mock:${at}`).toString("base64url");

function position(text: string): number {
  const found = /^mock:(\d+)$/.exec(Buffer.from(text, "base64url").toString());
  if (!found) throw new BadCursor("cursor must be the `next` of the page before");
  return Number(found[1]);
}
