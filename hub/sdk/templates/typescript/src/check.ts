import { HeadwaterError } from "./errors.js";
import { ANSWERS } from "./answers.js";
import type { Check } from "./client.js";

/** For `createHeadwater({ check })`: an answer that breaks the contract is an error, code `contract`. */
export const check: Check = (operation, answer) => {
  const judged = ANSWERS[operation].safeParse(answer);
  if (judged.success) return answer;
  const [first] = judged.error.issues;
  const place = first?.path.join(".") || "the answer";
  throw new HeadwaterError(`${operation}: ${place}: ${first?.message ?? "is wrong"}`, "contract", 200, "", [], {
    cause: judged.error,
  });
};
