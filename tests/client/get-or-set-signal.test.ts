/** The signal of getOrSet: before the call, while it loads, and for callers that share the load. */
import { expect, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { codeOf, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });
const open = async () => bench.own(await createClient({ servers: bench.local.servers }));

/** What nobody handles while `work` runs, and shortly after. */
async function unhandledBy(work: () => Promise<unknown>): Promise<unknown[]> {
  const found: unknown[] = [];
  const note = (reason: unknown) => found.push(reason);
  process.on("unhandledRejection", note);
  try {
    await work();
    await new Promise((resolve) => setTimeout(resolve, 50));
  } finally {
    process.off("unhandledRejection", note);
  }
  return found;
}

test("aborted before the call: nothing is loaded", async () => {
  const cache = await open();
  let loads = 0;
  const load = () => {
    loads++;
    throw new Error("the database is away");
  };
  const unhandled = await unhandledBy(async () => {
    expect(await codeOf(cache.getOrSet("early", 10, load, { signal: AbortSignal.abort() }))).toBe("ABORTED");
  });
  expect(unhandled).toStrictEqual([]);
  expect(loads).toBe(0);
  expect(await cache.getOrSet("early", 10, () => "loaded")).toBe("loaded");
});

test("aborted while it loads, and the load fails: nothing is left unhandled", async () => {
  const cache = await open();
  const abort = new AbortController();
  const load = async () => {
    abort.abort();
    await new Promise((resolve) => setTimeout(resolve, 20));
    throw new Error("the database is away");
  };
  const unhandled = await unhandledBy(async () => {
    expect(await codeOf(cache.getOrSet("late", 10, load, { signal: abort.signal }))).toBe("ABORTED");
    expect(await cache.getOrSet("other", 10, () => 1)).toBe(1);
  });
  expect(unhandled).toStrictEqual([]);
});

test("an aborted caller leaves the load to those who share it", async () => {
  const cache = await open();
  const abort = new AbortController();
  const load = async () => {
    abort.abort();
    await new Promise((resolve) => setTimeout(resolve, 20));
    return "loaded";
  };
  const first = codeOf(cache.getOrSet("shared", 10, load, { signal: abort.signal }));
  const second = cache.getOrSet("shared", 10, () => "not called");
  expect(await first).toBe("ABORTED");
  expect(await second).toBe("loaded");
});
