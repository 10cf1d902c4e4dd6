/** Vnode counts changed under load, by the admin port and by the command line; by the configuration: configured.test.ts. */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { admin, start } from "./gateway-support.ts";

vi.setConfig({ testTimeout: 240_000 }); // programs and migrations, on a machine that may be busy

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const KEYS = 2_000;
let cluster: LocalCluster;
let gateway: Gateway;
let stopped = false;
let traffic: Promise<{ requests: number; failures: string[] }>;

beforeAll(async () => {
  cluster = await LocalCluster.start();
  const flags = { nodes: cluster.servers.map((address) => ({ address })), "admin.requestsPerSecond": 1_000 };
  gateway = await start(cluster, { flags });
  const set = (from: number) => Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key${from + i}`, from + i]));
  for (let from = 0; from < KEYS; from += 500) {
    await fetch(`${gateway.dataUrl}/`, { method: "POST", body: JSON.stringify({ set: set(from) }) });
  }
  traffic = readAndWrite();
});
afterAll(async () => {
  stopped = true;
  await traffic;
  await gateway?.close();
  await cluster?.stop();
});

async function readAndWrite(): Promise<{ requests: number; failures: string[] }> {
  const failures: string[] = [];
  let requests = 0;
  const work = async (offset: number) => {
    for (let i = offset; !stopped; i = (i + 7) % KEYS) {
      const write = i % 5 === 0;
      const init = write ? { method: "POST", body: JSON.stringify({ value: i }) } : {};
      const response = await fetch(`${gateway.dataUrl}/key${i}`, init);
      const body = await response.text();
      if (write ? response.status !== 201 : body !== `{"value":${i}}`)
        failures.push(`key${i}: ${response.status} ${body}`);
      requests++;
      await sleep(2); // the gateway is in this process, and a change needs its share of it
    }
  };
  await Promise.all([0, 1, 2, 3].map(work));
  return { requests, failures };
}

const WAYS: Readonly<Record<string, (node: string, vnodes: number) => Promise<unknown>>> = {
  "the admin port": async (node, vnodes) => {
    const path = `/api/nodes/${encodeURIComponent(node)}?wait=true`;
    expect((await admin(gateway, "PATCH", path, { vnodes })).body).toMatchObject({
      command: `set-vnodes ${node} ${vnodes}`,
    });
  },
  "the command line": (node, vnodes) =>
    promisify(execFile)(process.execPath, [
      ...[MAIN, "--redis", cluster.redis.url, "set-vnodes", "--yes", node, String(vnodes)],
    ]),
};

test.each(Object.keys(WAYS).flatMap((way) => [80, 400, 40].map((vnodes) => [way, vnodes] as const)))(
  "by %s to %i vnodes: the points are as asked, the distribution follows",
  async (way, vnodes) => {
    const node = cluster.servers[1]!;
    await WAYS[way]!(node, vnodes);
    const { points } = (await admin(gateway, "GET", `/api/points?node=${encodeURIComponent(node)}`)).body;
    expect(points).toHaveLength(vnodes * 4);
    const located = await Promise.all(
      Array.from({ length: KEYS / 100 }, async (_, page) => {
        const query = Array.from({ length: 100 }, (__, i) => `key=key${page * 100 + i}`).join("&");
        return (await admin(gateway, "GET", `/api/locate?${query}`)).body.keys as { index: number }[];
      }),
    );
    const expected = [0, 1, 2].map((index) => located.flat().filter((place) => place.index === index).length);
    const distribution = expected.map((entries, index) => `${index}:${entries}`).join(",");
    const header = async () => (await fetch(`${gateway.dataUrl}/key0`)).headers.get("x-ring-distribution");
    while ((await header()) !== distribution) await sleep(50);
  },
);

test("no request failed meanwhile", async () => {
  stopped = true;
  const { requests, failures } = await traffic;
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(500);
});
