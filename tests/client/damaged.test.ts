/** An item whose bytes are not what its flags say: the error names the key and its server, whatever has read it. */
import { expect, test } from "vitest";
import { createClient, type RingshiftError } from "../../src/index.ts";
import { metaSet } from "../../src/memcached/commands.ts";
import { useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });
const JSON_FLAG = 2;

test.each(["managed", "plain"])("a %s client", async (kind) => {
  const cluster = bench.cluster(1);
  const servers = bench.local.servers;
  const cache =
    kind === "managed" ? await cluster.client() : bench.own(await createClient({ servers, unmanaged: true }));
  const { wireKey, address, node } = cache.locate("damaged");
  await bench.ask(address, metaSet(wireKey, Buffer.from("{"), { flags: JSON_FLAG, ttl: 0 }));
  const told = { code: "PROTOCOL_ERROR", key: "damaged", node };
  await expect(cache.get("damaged")).rejects.toMatchObject(told);
  await expect(cache.gets("damaged")).rejects.toMatchObject(told);
  await expect(cache.gat("damaged", 10)).rejects.toMatchObject(told);
  await expect(cache.getOrSet("damaged", 10, () => 1)).rejects.toMatchObject(told);
  await expect(cache.getMulti(["damaged"])).rejects.toMatchObject(told);
  const failed = new Map<string, RingshiftError>();
  expect((await cache.getMulti(["damaged", "none"], { failed })).size).toBe(0);
  expect([...failed.keys()]).toStrictEqual(["damaged"]);
  expect(failed.get("damaged")).toMatchObject(told);
});
