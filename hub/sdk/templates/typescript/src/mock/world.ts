/** Values for every record, made from its key: the same record says the same wherever it is asked. */
import type { Contract, Entity, Schema } from "./contract.js";

export type Values = Record<string, unknown>;

const OWNERS = 12;
const PARTS = 2;
const EPOCH = Date.UTC(2026, 0, 1);

/** FNV-1a: a number from a text, the same on every machine. */
function seeded(...words: string[]): number {
  let hash = 0x811c9dc5;
  for (const char of words.join("\n")) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193);
  return (hash ^ (hash >>> 13)) >>> 0;
}

export class World {
  private readonly known = new Map<string, string[]>();
  private readonly owners = new Map<string, Entity | undefined>();

  constructor(private readonly contract: Contract) {}

  /** The keys of all records of a kind; those of a part are made from its owner's. */
  keys(entity: Entity): string[] {
    const found = this.known.get(entity.type);
    if (found) return found;
    this.known.set(entity.type, []); // a kind that owns itself has no keys meanwhile
    const owner = this.owner(entity);
    const made = owner
      ? this.keys(owner).flatMap((key) => numbered(PARTS).map((n) => `${key}-${String(n).padStart(2, "0")}`))
      : numbered(OWNERS).map((n) => this.spelled(entity.key, n));
    this.known.set(entity.type, made);
    return made;
  }

  /** A record as REST shows it. Parts and provenance come where they are asked for, or demanded. */
  record(entity: Entity, key: string, schema: Schema, include: readonly string[] = []): Values {
    const { properties = {}, required = [] } = this.contract.resolved(schema);
    const made: Values = {};
    for (const [name, member] of Object.entries(properties)) {
      const asked = name === "provenance" ? include.includes(name) : include.includes("parts");
      if (required.includes(name) || asked) made[name] = this.member(entity, key, name, member);
    }
    if (made["provenance"]) made["provenance"] = this.provenance(entity, key, Object.keys(made));
    return made;
  }

  /** The keys of the records of a kind that belong to one record. */
  partsOf(owner: Entity, key: string, part: Entity): string[] {
    const all = this.keys(part).filter((one) => this.reference(part, one, owner) === key);
    if (all.length || this.keys(owner).includes(key)) return all;
    return this.owner(part)?.type === owner.type ? numbered(PARTS).map((n) => `${key}-0${n}`) : [];
  }

  /** Any value that a schema allows. `seed` decides which. */
  any(schema: Schema, name: string, seed: string): unknown {
    const wanted = this.contract.resolved(schema);
    const number = seeded(seed, name);
    if (wanted.enum) return wanted.enum[number % wanted.enum.length];
    if (wanted.nullable && wanted.type !== "object" && number % 10 === 0) return null;
    switch (wanted.type) {
      case "object":
        if (typeof wanted.additionalProperties === "object")
          return { name: this.any(wanted.additionalProperties, "name", `${seed}/${name}`) };
        return Object.fromEntries(
          (wanted.required ?? []).map((one) => [one, this.any(wanted.properties?.[one] ?? {}, one, `${seed}/${name}`)]),
        );
      case "array":
        return numbered(2).map((n) => this.any(wanted.items ?? {}, name, `${seed}/${n}`));
      case "boolean":
        return number % 5 === 0;
      case "integer":
        return (wanted.minimum ?? 1) + (number % Math.min((wanted.maximum ?? 5) - (wanted.minimum ?? 1) + 1, 5));
      case "number":
        return (number % 500) / 10;
      default:
        return this.text(wanted, name, number);
    }
  }

  provenance(entity: Entity, key: string, fields: string[]): Values[] {
    const { schema } = this.schema("Provenance");
    const shown = fields.filter((name) => ![entity.key, "provenance", "changed_at", "locales"].includes(name));
    return shown.map((field) => ({
      ...(this.any(schema, "provenance", `${entity.type}/${key}/${field}`) as Values),
      field,
      record: key,
    }));
  }

  schema(component: string): { schema: Schema } {
    return { schema: { $ref: `#/components/schemas/${component}` } };
  }

  private member(entity: Entity, key: string, name: string, schema: Schema): unknown {
    if (name === entity.key) return key;
    const wanted = this.contract.resolved(schema);
    const inner = wanted.type === "array" ? (wanted.items ?? {}) : schema;
    const other = this.contract.entityOf(inner);
    if (other && wanted.type === "array") {
      // The way through a tree: the record itself. Everything else that is listed is its parts.
      const keys = other.type === entity.type ? [key] : this.partsOf(entity, key, other);
      return keys.map((one) => this.record(other, one, inner));
    }
    if (other) {
      const target = other.type === entity.type ? null : this.reference(entity, key, other);
      return target === null ? null : this.record(other, target, inner);
    }
    const summarised = wanted.properties?.["nodes"]?.items;
    const part = summarised && this.contract.entityOf(summarised);
    if (summarised && part) {
      const nodes = this.partsOf(entity, key, part).map((one) => this.record(part, one, summarised));
      return { ...(this.any(wanted, name, key) as Values), count: nodes.length, nodes };
    }
    const named = [...this.contract.entities.values()].find((one) => one.name === name);
    if (named && wanted.type === "string") return this.reference(entity, key, named);
    return this.any(schema, name, `${entity.type}/${key}`);
  }

  /** The key of the record that another one refers to. */
  private reference(entity: Entity, key: string, target: Entity): string | null {
    if (this.owner(entity)?.type === target.type) return /^(.*)-\d\d$/.exec(key)?.[1] ?? this.keys(target)[0] ?? null;
    const keys = this.keys(target);
    return keys[seeded(entity.type, key, target.type) % keys.length] ?? null;
  }

  /** The kind of record that lists this one among its parts: the first that the contract shows. */
  private owner(entity: Entity): Entity | undefined {
    if (!this.owners.has(entity.type)) {
      const all = [...this.contract.entities.values()];
      const found = all.find((one) => one.type !== entity.type && this.partTypes(one).includes(entity.type));
      this.owners.set(entity.type, found);
    }
    return this.owners.get(entity.type);
  }

  private partTypes(entity: Entity): string[] {
    const { properties = {} } = this.contract.resolved(this.schema(entity.type).schema);
    return Object.values(properties).flatMap((member) => {
      const wanted = this.contract.resolved(member);
      const listed = wanted.type === "array" ? wanted.items : wanted.properties?.["nodes"]?.items;
      return (listed && this.contract.entityOf(listed)?.type) ?? [];
    });
  }

  private text(schema: Schema, name: string, number: number): string {
    const at = new Date(EPOCH + (number % 2_000) * 3_600_000).toISOString();
    if (schema.format === "date-time") return at;
    if (schema.format === "date") return at.slice(0, 10);
    if (schema.format === "decimal") return ((number % 20_000) / 100).toFixed(2);
    return this.spelled(name, number);
  }

  /** The document's own example for a member, with other digits. */
  private spelled(name: string, number: number): string {
    const hint = this.contract.hints.get(name) ?? `${name} 1`;
    return hint.replace(/\d+/, (digits) => String(number % 10 ** Math.min(digits.length, 15)).padStart(digits.length, "0"));
  }
}

const numbered = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);
