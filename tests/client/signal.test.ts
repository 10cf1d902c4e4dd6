/** Signals of other makes, and what is left on a signal when a call is over. */
import { getEventListeners } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { abortable } from "../../src/client/bound.ts";
import type { Call } from "../../src/client/operate.ts";
import { type Client, createClient } from "../../src/index.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";

let server: ScriptedServer;
let cache: Client;

beforeAll(async () => {
  server = await ScriptedServer.listen();
  cache = await createClient({ servers: [server.address] });
});
afterAll(async () => {
  await cache.quit();
  await server.close();
});

/** As a polyfill makes it: no EventTarget of Node's. */
class OtherSignal {
  aborted = false;
  readonly reason = "enough";
  readonly listeners = new Set<() => void>();

  addEventListener(_: "abort", listener: () => void): void {
    this.listeners.add(listener);
  }

  removeEventListener(_: "abort", listener: () => void): void {
    this.listeners.delete(listener);
  }

  abort(): void {
    this.aborted = true;
    for (const listener of this.listeners) listener();
  }
}

test("a polyfill's signal ends a call as Node's does, and keeps no listener", async () => {
  const other = new OtherSignal();
  const signal = other as unknown as AbortSignal;
  expect(await cache.get("k", { signal })).toBeUndefined();
  expect((await cache.getMulti(["k"], { signal })).size).toBe(0);
  expect(other.listeners.size).toBe(0);
  const call = cache.get("k", { signal });
  other.abort();
  await expect(call).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
});

test("a signal without removeEventListener is none", async () => {
  const signal = { aborted: false, addEventListener: () => {} } as unknown as AbortSignal;
  await expect(cache.get("k", { signal })).rejects.toMatchObject({ code: "INVALID_OPTION" });
});

test("a call that throws as it begins leaves no listener behind", async () => {
  const { signal } = new AbortController();
  const refused = new Error("refused");
  const begin = () => {
    throw refused;
  };
  await expect(abortable(signal, {} as Call<unknown>, begin)).rejects.toBe(refused);
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});
