/** The mock server: the contract's REST and GraphQL, from made-up records, with no network and no hub. */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Contract, type Document } from "./contract.js";
import { responder } from "./graphql.js";
import { type Answer, problem, rest } from "./rest.js";
import { type Values, World } from "./world.js";

export interface Mock {
  url: string;
  close(): Promise<void>;
}

/** Starts one on this machine; port 0 takes any that is free. */
export async function startMock({ port = 0, host = "127.0.0.1" } = {}): Promise<Mock> {
  const read = (name: string): string => readFileSync(new URL(`../../contract/${name}`, import.meta.url), "utf8");
  const contract = new Contract(JSON.parse(read("openapi.json")) as Document);
  const world = new World(contract);
  const respond = responder(contract, world, read("schema.graphql"));

  async function answer(request: IncomingMessage): Promise<Answer> {
    const url = new URL(request.url ?? "/", "http://mock");
    if (!request.headers.authorization && !request.headers["x-api-key"])
      return problem(401, "unauthorized", "send an API key; here any will do");
    if (url.pathname === "/graphql") return { status: 200, body: await respond(JSON.parse(await text(request)) as Values) };
    if (request.method !== "GET") return problem(405, "method_not_allowed", "the contract only reads");
    return rest(contract, world, url);
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = await answer(request).catch((error: unknown) => problem(400, "bad_request", String(error)));
    const kind = status < 400 ? "application/json" : "application/problem+json";
    // Any origin: it is a frontend's page that asks.
    response.writeHead(status, { "Content-Type": kind, "Access-Control-Allow-Origin": "*" });
    response.end(JSON.stringify(body));
  }

  const server = createServer((request, response) => {
    if (request.method === "OPTIONS") {
      const allowed = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*" };
      response.writeHead(204, allowed).end();
    } else void handle(request, response);
  });
  await new Promise<void>((listening, failed) => {
    server.once("error", failed);
    server.listen(port, host, listening);
  });
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((closed) => server.close(() => closed())),
  };
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
