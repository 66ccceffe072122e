import type { Provenance } from "./types.js";

interface Traced {
  provenance: readonly Provenance[];
}

/** Where a field's value comes from; parts by their path, as in `variants.P-000001-01.gtin`. */
export function provenanceOf(record: Traced, field: string): Provenance | undefined {
  return record.provenance.find((one) => one.field === field);
}

/** The fields older than their freshness objective; of the whole record, or below one path. */
export function staleFields(record: Traced, path = ""): Provenance[] {
  return record.provenance.filter(
    (one) => one.stale && (path === "" || one.field === path || one.field.startsWith(`${path}.`)),
  );
}
