import type { Page, Pages } from "./types.js";

/** Asks for the first page when it is awaited or walked, and again each time. */
export function paged<T>(start: string | undefined, ask: (cursor: string | undefined) => Promise<Page<T>>): Pages<T> {
  return {
    then: (done, failed) => ask(start).then(done, failed),
    async *[Symbol.asyncIterator]() {
      let cursor = start;
      do {
        const page = await ask(cursor);
        yield* page.items;
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
    },
  };
}
