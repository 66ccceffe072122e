/** A product page, as a frontend would have it. */
import { createHeadwater, etagOf, type Locale, staleFields } from "headwater";
import { graphql } from "headwater/graphql";

const headwater = createHeadwater({ baseUrl: "https://hub.example", apiKey: "hw_key" });

export async function page(sku: string, locale: Locale) {
  const p = await headwater.product({ sku, locale, include: ["provenance"] });
  return {
    title: p.name ?? p.sku,
    groups: p.variants.map((variant) => variant.group),
    gtins: p.variants.map((variant) => variant.gtin),
    old: staleFields(p).map((one) => `${one.field}: ${one.age_seconds} s`),
  };
}

export async function move(number: string, city: string): Promise<string | null> {
  const customer = await headwater.customer({ number });
  const written = await headwater.customerUpdate({ number, city, ifMatch: etagOf(customer) ?? "" });
  return written.result?.system ?? null;
}

const Group = graphql(`query ($sku: String!) { variant(sku: $sku) { sku group } }`);

export async function group(sku: string): Promise<string | null | undefined> {
  const { variant } = await headwater.query(Group, { sku });
  return variant?.group;
}
