// Every operation of the contract, asked of the mock server; every answer held against its schema.
import { readFileSync } from "node:fs";
import { startMock } from "headwater/mock";
import * as schemas from "headwater/schemas";

const contract = JSON.parse(readFileSync("node_modules/headwater/contract/openapi.json", "utf8"));
const mock = await startMock();
const pascal = (id) => id.split("_").map((word) => word[0].toUpperCase() + word.slice(1)).join("");
const found = {};
for (const [path, { get }] of Object.entries(contract.paths)) {
  if (!get) continue;
  const includes = get.parameters.find((one) => one.name === "include") ? ["", "?include=provenance,parts"] : [""];
  const schema = schemas[`z${pascal(get.operationId)}Response`];
  const wrong = [];
  let asked = 0;
  for (const include of includes)
    for (const key of ["P-000001", "another/key", "7"]) {
      const address = path.replace(/\{\w+\}/g, encodeURIComponent(key));
      const response = await fetch(mock.url + address + include, { headers: { "X-API-Key": "any" } });
      const judged = schema.safeParse(await response.json());
      asked += 1;
      if (response.status !== 200) wrong.push(`${address}${include}: ${response.status}`);
      else if (!judged.success) wrong.push(`${address}${include}: ${judged.error.message}`);
    }
  found[get.operationId] = { asked, wrong };
}
const get = async (path, headers = { "X-API-Key": "any" }) => {
  const response = await fetch(mock.url + path, { headers });
  return { status: response.status, type: response.headers.get("Content-Type"), body: await response.json() };
};
const told = {
  found,
  twice: [await get("/api/v1/products/P-000003"), await get("/api/v1/products/P-000003")],
  refusals: {
    missing: await get("/api/v1/products/missing"),
    stranger: await get("/api/v1/products/P-000003", {}),
    unknown: await get("/api/v1/products?colour=red"),
    limit: await get("/api/v1/products?limit=0"),
    locale: await get("/api/v1/products?locale=xx"),
    cursor: await get("/api/v1/products?cursor=xx"),
    nothing: await get("/api/v1/nothing"),
  },
};
for (const answer of Object.values(told.refusals)) schemas.zProblem.parse(answer.body);
await mock.close();
console.log(JSON.stringify(told));
