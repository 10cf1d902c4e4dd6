/** The observer over real servers: a cluster that fills up gets its spare, by one of two observers, and nothing is lost but evictions. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { type Client, createClient } from "../../src/index.ts";
import { stats } from "../../src/memcached/admin.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { start } from "../gateway/gateway-support.ts";

let cluster: LocalCluster;
let client: Client;
const gateways: Gateway[] = [];

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 4, memcachedOptions: { memoryMb: 16 } });
  const [spare, ...first] = [...cluster.servers].reverse();
  const flags = {
    nodes: first.map((address) => ({ address })),
    spares: [{ address: spare }],
    "observer.policy": "scale",
    "observer.intervalMs": 200,
    "observer.outAfterSeconds": 0.5,
    "observer.coolDownSeconds": 1,
  };
  gateways.push(await start(cluster, { flags }));
  gateways.push(await start(cluster, { flags }));
  client = await createClient({ redis: cluster.redis.url });
});
afterAll(async () => {
  await client?.quit();
  for (const gateway of gateways) await gateway.close();
  await cluster?.stop();
});

const events = (gateway: Gateway) => gateway.log.entries.map((entry) => entry.text);
const size = () => client.topology().nodes.length;

test("one of two observers acts", () => {
  const acting = gateways.filter((gateway) => events(gateway).includes("This observer acts now."));
  expect(acting).toHaveLength(1);
});

test("a cluster that fills up gets its spare; every key is there or was evicted", async () => {
  const value = randomBytes(4_000);
  let written = 0;
  while (size() < 4) {
    const entries = Array.from({ length: 50 }, (): [string, Buffer] => [`fill-${written++}`, value]);
    await client.setMulti(entries);
    await sleep(10); // so fast that the observer sees the cluster fill up, not overflow
  }
  while (!gateways.some((gateway) => events(gateway).some((text) => /^add-node .*: done/.test(text)))) await sleep(50);
  expect(client.topology().phase).toBe("S");

  const keys = Array.from({ length: written }, (_, i) => `fill-${i}`);
  let alive = 0;
  for (let from = 0; from < written; from += 200) alive += (await client.getMulti(keys.slice(from, from + 200))).size;
  const evicted = await Promise.all(cluster.servers.map(evictions));
  expect(written).toBeGreaterThan(5_000);
  expect(alive).toBeGreaterThan(5_000);
  expect(alive + evicted.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(written);
  const added = gateways.filter((gateway) => events(gateway).some((text) => /: add 127/.test(text)));
  expect(added).toHaveLength(1);
});

test("when the observer that acts is gone, the other one acts", async () => {
  const acting = gateways.findIndex((gateway) => events(gateway).includes("This observer acts now."));
  const [gone] = gateways.splice(acting, 1);
  await gone!.close();
  while (!events(gateways[0]!).includes("This observer acts now.")) await sleep(50);
  expect(events(gateways[0]!).at(-1)).toBe("This observer acts now.");
});

/** As the server counts them: for room, and while it moved pages between sizes. */
async function evictions(address: string): Promise<number> {
  const found = await stats(address);
  const names = ["evictions", "slab_reassign_evictions_nomem", "slab_reassign_inline_reclaim"];
  return names.reduce((sum, name) => sum + Number(found.get(name) ?? 0), 0);
}
