#!/usr/bin/env node
/** `headwater-mock --port 4010` */
import { parseArgs } from "node:util";
import { startMock } from "./server.js";

const { values } = parseArgs({ options: { port: { type: "string", default: "4010" }, host: { type: "string", default: "127.0.0.1" } } });
try {
  const { url } = await startMock({ port: Number(values.port), host: values.host });
  console.log(`headwater-mock: ${url}`);
} catch (error) {
  console.error(`headwater-mock: ${(error as Error).message}`);
  process.exit(1);
}
