/** The contract as the mock reads it: components, operations, and which of them are entities. */
export interface Schema {
  $ref?: string;
  allOf?: Schema[];
  type?: string;
  format?: string;
  enum?: unknown[];
  nullable?: boolean;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  minimum?: number;
  maximum?: number;
}

export interface Parameter {
  name: string;
  in: string;
  schema: Schema;
}

export interface Operation {
  operationId: string;
  parameters?: Parameter[];
  responses: Record<string, { content?: Record<string, { schema: Schema; examples?: Record<string, { value: unknown }> }> }>;
}

export interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** One kind of record: its component, what its key is called, its name and its list's. */
export interface Entity {
  type: string;
  name: string;
  plural: string;
  key: string;
}

export interface Route {
  operation: Operation;
  path: string;
  pattern: RegExp;
  names: string[];
  schema: Schema;
}

const ENDS = ["", "Item", "Part", "Node", "Step"];

export class Contract {
  readonly routes: Route[] = [];
  readonly entities = new Map<string, Entity>();
  /** Values by member, from the document's examples. */
  readonly hints = new Map<string, string>();

  constructor(readonly document: Document) {
    for (const [path, methods] of Object.entries(document.paths)) {
      const operation = methods["get"];
      const content = operation?.responses["200"]?.content?.["application/json"];
      if (!operation || !content) continue;
      const names = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1] as string);
      // Keys may hold slashes, so the longer addresses are tried first.
      const source = path.replace(/\{\w+\}/g, "(.+?)");
      this.routes.push({ operation, path, pattern: new RegExp(`^${source}$`), names, schema: content.schema });
      for (const example of Object.values(content.examples ?? {})) this.learn(example.value);
      if (operation.operationId.startsWith("get_") && names.length === 1 && content.schema.$ref) {
        const type = last(content.schema.$ref);
        const plural = path.split("/").at(-2) as string;
        this.entities.set(type, { type, plural, name: operation.operationId.slice(4), key: names[0] as string });
      }
    }
    this.routes.sort((one, other) => other.path.split("/").length - one.path.split("/").length);
  }

  /** A schema without references; of `allOf` its only part. */
  resolved(schema: Schema): Schema {
    if (schema.$ref) return this.document.components.schemas[last(schema.$ref)] ?? {};
    return schema.allOf?.[0] ? { ...this.resolved(schema.allOf[0]), nullable: schema.nullable ?? false } : schema;
  }

  /** The entity that a component shows, whole or in part. */
  entityOf(schema: Schema): Entity | undefined {
    const name = schema.$ref ?? schema.allOf?.[0]?.$ref;
    if (!name) return undefined;
    for (const end of ENDS) {
      const component = last(name);
      if (!component.endsWith(end)) continue;
      const found = this.entities.get(component.slice(0, component.length - end.length));
      if (found) return found;
    }
    return undefined;
  }

  private learn(value: unknown): void {
    if (Array.isArray(value)) for (const one of value) this.learn(one);
    else if (value && typeof value === "object")
      for (const [name, inner] of Object.entries(value)) {
        if (typeof inner !== "string") this.learn(inner);
        else if (inner !== "text" && !this.hints.has(name)) this.hints.set(name, inner);
      }
  }
}

export const last = (reference: string): string => reference.slice(reference.lastIndexOf("/") + 1);
