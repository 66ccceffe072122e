/** The Zod schemas of every component and of every operation's answer. */
export * from "./zod/zod.gen.js";
