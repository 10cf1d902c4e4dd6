/** Clients of both protocols on the same servers: each reads what the other wrote, and respects its leases. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create.ts";
import { LocalCluster } from "../../src/testing/local-cluster.ts";

let local: LocalCluster;
let meta: Client;
let binary: Client;

beforeAll(async () => {
  local = await LocalCluster.start({ memcached: 2 });
  const options = { redis: local.redis.url, servers: local.servers, binaryKeys: "base64" } as const;
  meta = await createClient(options);
  binary = await createClient({ ...options, protocol: "binary" });
});
afterAll(async () => {
  await Promise.all([meta.quit(), binary.quit()]);
  await local.stop();
});

const both = [
  ["meta", "binary", (): [Client, Client] => [meta, binary]],
  ["binary", "meta", (): [Client, Client] => [binary, meta]],
] as const;

test.each(both)("what %s writes %s reads, and counts on", async (_, __, of) => {
  const [writer, reader] = of();
  for (const value of ["text", 41, 2n ** 70n, { json: [true, null] }, Buffer.from([0, 13, 10, 255])]) {
    await writer.set("k", value, { ttl: 100 });
    expect(await reader.get("k")).toStrictEqual(value);
  }
  await writer.set("n", 41);
  expect(await reader.incr("n")).toBe(42);
  expect(await writer.get("n")).toBe(42);
  expect(await reader.append("k", Buffer.from("!"))).toBe(true);
  expect(await reader.delete("k")).toBe(true);
  expect(await writer.get("k")).toBeUndefined();
});

test.each(both)("a binary key of %s is the same key to %s", async (_, __, of) => {
  const [writer, reader] = of();
  for (const key of ["a b", "line\r\nflush_all", "\u0000"]) {
    await writer.set(key, key);
    expect(await reader.get(key)).toBe(key);
    expect(await reader.getMulti([key])).toStrictEqual(new Map([[key, key]]));
    expect(await reader.delete(key)).toBe(true);
  }
});

test.each(both)(
  "a key that %s is loading is absent to %s, which waits with a getOrSet of its own",
  async (_, __, of) => {
    const [loader, other] = of();
    let begun: () => void = () => {};
    const loading = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let finish: (value: string) => void = () => {};
    const first = loader.getOrSet("leased", 100, () => {
      begun();
      return new Promise<string>((resolve) => {
        finish = resolve;
      });
    });
    await loading;
    expect(await other.get("leased")).toBeUndefined();
    const second = other.getOrSet("leased", 100, () => expect.unreachable());
    finish("loaded once");
    expect(await Promise.all([first, second])).toEqual(["loaded once", "loaded once"]);
    await other.delete("leased");
  },
);

test.each(both)("a cas of %s fails over a write of %s", async (_, __, of) => {
  const [one, other] = of();
  await one.set("c", 1);
  const { cas } = (await one.gets("c"))!;
  await other.set("c", 2);
  expect(await one.cas("c", 3, cas)).toBe(false);
  expect(await one.cas("c", 3, (await other.gets("c"))!.cas)).toBe(true); // a token is its server's, not its client's
  expect(await other.get("c")).toBe(3);
});

test("what the binary protocol has no words for goes over a meta connection beside it", async () => {
  await binary.set("m", "value", { ttl: 500 });
  expect((await binary.getMeta("m"))!.ttl).toBeGreaterThan(400);
  expect(await binary.getOrSet("m", 100, () => expect.unreachable(), { earlyRefresh: 1 })).toBe("value");
  const states = Object.values(binary.nodeStates());
  expect(states.every(({ state, inFlight, waiting }) => state === "up" && inFlight + waiting === 0)).toBe(true);
});
