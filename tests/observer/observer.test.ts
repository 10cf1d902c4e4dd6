/**
 * The observer end to end: two gateways, processes of their own, over three servers of 16 MB and a spare. The cluster fills up and gets its
 * spare, by one of the two; that one is killed; the load falls, and the other takes the spare out again. Nothing is lost but evictions.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { stats } from "../../src/memcached/admin.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { type Served, serve } from "../gateway/serve-support.ts";

vi.setConfig({ testTimeout: 240_000 }); // programs and migrations, on a machine that may be busy

const ACTS = "This observer acts now.";
const value = randomBytes(4_000);
let cluster: LocalCluster;
let client: Client;
let folder: string;
let spare: string;
const gateways: Served[] = [];
let written = 0;

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 4, memcachedOptions: { memoryMb: 16 } });
  folder = mkdtempSync(join(tmpdir(), "ringshift-observer-"));
  const file = join(folder, "ringshift.yaml");
  const first = cluster.servers.slice(0, 3);
  spare = cluster.servers[3]!;
  writeFileSync(
    file,
    `redis: ${cluster.redis.url}
nodes: [${first.map((address) => `"${address}"`).join(", ")}]
spares: ["${spare}"]
observer:
  policy: scale
  intervalMs: 200
  outAfterSeconds: 0.5
  inAfterSeconds: 2
  coolDownSeconds: 1
`,
  );
  for (let i = 0; i < 2; i++) gateways.push(await serve(["--config", file]));
  client = await createClient({ redis: cluster.redis.url });
});
afterAll(async () => {
  await client?.quit();
  for (const gateway of gateways) await gateway.end("SIGKILL");
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const said = (gateway: Served, text: string | RegExp) =>
  gateway.log.some((line) => (typeof text === "string" ? line.includes(text) : text.test(line)));
const nodes = () => client.topology().nodes.map((node) => node.address);
const settled = () => client.topology().phase === "S";

async function aliveOf(keys: readonly string[]): Promise<number> {
  let alive = 0;
  for (let from = 0; from < keys.length; from += 200)
    alive += (await client.getMulti(keys.slice(from, from + 200))).size;
  return alive;
}

/** As the servers count them: for room, and while they moved pages between sizes. */
async function evictions(): Promise<number> {
  const names = ["evictions", "slab_reassign_evictions_nomem", "slab_reassign_inline_reclaim"];
  let sum = 0;
  for (const address of cluster.servers) {
    const found = await stats(address);
    for (const name of names) sum += Number(found.get(name) ?? 0);
  }
  return sum;
}

test("one of two observers acts", async () => {
  while (!gateways.some((gateway) => said(gateway, ACTS))) await sleep(50);
  expect(gateways.filter((gateway) => said(gateway, ACTS))).toHaveLength(1);
});

test("a cluster that fills up gets its spare; every key is there or was evicted", async () => {
  while (nodes().length < 4) {
    const entries = Array.from({ length: 50 }, (): [string, Buffer] => [`fill-${written++}`, value]);
    await client.setMulti(entries);
    await sleep(10); // so fast that the observer sees the cluster fill up, not overflow
  }
  while (!gateways.some((gateway) => said(gateway, /add-node .*: done/))) await sleep(50);
  expect(nodes()).toContain(spare);
  const alive = await aliveOf(Array.from({ length: written }, (_, i) => `fill-${i}`));
  expect(written).toBeGreaterThan(5_000);
  expect(alive).toBeGreaterThan(5_000);
  expect(alive + (await evictions())).toBeGreaterThanOrEqual(written);
  expect(gateways.filter((gateway) => said(gateway, `: add ${spare}`))).toHaveLength(1);
});

test("when the observer that acts is killed, the other one acts", async () => {
  const acting = gateways.findIndex((gateway) => said(gateway, ACTS));
  const [gone] = gateways.splice(acting, 1);
  await gone!.end("SIGKILL");
  while (!said(gateways[0]!, ACTS)) await sleep(50);
  expect(said(gateways[0]!, `: add ${spare}`)).toBe(false);
});

test("when the load falls the spare leaves again, the nodes stay, and no key is lost", async () => {
  const kept = Array.from({ length: 500 }, (_, i) => `kept-${i}`);
  await client.deleteMulti(Array.from({ length: written }, (_, i) => `fill-${i}`));
  await client.setMulti(kept.map((key): [string, string] => [key, key]));
  const evicted = await evictions();
  while (nodes().length > 3) await sleep(50);
  while (!settled() || !said(gateways[0]!, /remove-node .*: done/)) await sleep(50);
  expect(nodes()).toEqual(cluster.servers.slice(0, 3));
  expect(await evictions()).toBe(evicted);
  expect(await client.getMulti(kept)).toEqual(new Map(kept.map((key) => [key, key])));
  expect(said(gateways[0]!, /is low .*: remove /)).toBe(true);
  await sleep(4_000); // the load is as low as before: longer than another one would take
  expect(nodes()).toHaveLength(3);
});
