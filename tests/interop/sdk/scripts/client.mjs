// What an application does with the client: address, key, a product's SKU. Prints what it got.
import { createHeadwater, HeadwaterError, provenanceOf } from "headwater";
import { check } from "headwater/check";
import * as documents from "headwater/documents";

const [baseUrl, apiKey, sku, keys] = process.argv.slice(2);
const headwater = createHeadwater({ baseUrl, apiKey, locale: "de_DE", check });

async function refused(call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error;
    return { code: error.code, status: error.status, message: error.message, errors: error.errors };
  }
  throw new Error("it was not refused");
}

const product = await headwater.product({ sku, include: ["provenance"] });
const page = await headwater.products({ first: 1, filter: { brand: product.brand } });
const walked = [];
for await (const variant of headwater.variants({ first: 1, include: ["parts"] })) walked.push(variant);

const answers = {};
for (const [name, document] of Object.entries(documents)) {
  const root = name.replace(/Document$/, "");
  const data = await headwater.query(document, { ...JSON.parse(keys)[root], first: 2, locale: "de_DE" });
  answers[root] = data[root];
}

const result = {
  product,
  page,
  walked,
  answers,
  named: provenanceOf(product, "name"),
  explained: await headwater.explainProduct({ sku, field: "name" }),
  history: await headwater.historyOfProduct({ sku }),
  rest: (await headwater.rest.GET("/api/v1/products/{sku}", { params: { path: { sku } } })).response.status,
  missing: await refused(() => headwater.product({ sku: "missing" })),
  wrong: await refused(() => headwater.products({ first: 500 })),
  stranger: await refused(() => createHeadwater({ baseUrl }).product({ sku })),
  nowhere: await refused(() => createHeadwater({ baseUrl: "http://127.0.0.1:1" }).product({ sku })),
  document: await refused(() => headwater.query(documents.productDocument, {})),
};
console.log(JSON.stringify(result));
