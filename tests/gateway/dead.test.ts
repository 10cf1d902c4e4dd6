/** Servers that are gone: what a request is told, and how the admin port takes them out. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { admin, start } from "./gateway-support.ts";

vi.setConfig({ testTimeout: 240_000 }); // programs and migrations, on a machine that may be busy

const KEYS = 1_000;
let cluster: LocalCluster;
let gateway: Gateway;

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 4 });
  const flags = {
    nodes: cluster.servers.map((address) => ({ address })),
    "admin.requestsPerSecond": 10_000,
    "migration.keysPerSecond": 100, // so that a server can die while keys leave it
  };
  gateway = await start(cluster, { flags });
  for (let from = 0; from < KEYS; from += 500) {
    const set = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key${from + i}`, from + i]));
    expect((await fetch(`${gateway.dataUrl}/`, { method: "POST", body: JSON.stringify({ set }) })).status).toBe(201);
  }
});
afterAll(async () => {
  await gateway?.close();
  await cluster?.stop();
});

const name = (place: number) => cluster.memcached[place]!.address;
const remove = (node: string, query: string) =>
  admin(gateway, "DELETE", `/api/nodes/${encodeURIComponent(node)}?wait=true${query}`);

interface Place {
  readonly node: string;
  readonly movingFrom?: string;
}

async function locate(i: number): Promise<Place> {
  return ((await admin(gateway, "GET", `/api/locate?key=key${i}`)).body.keys as Place[])[0]!;
}

/** Statuses of all keys, with the node and code of those that are problems. */
async function readAll(): Promise<{ status: number; code?: string; node?: string; retry: string | null }[]> {
  const all = [];
  for (let i = 0; i < KEYS; i++) {
    const response = await fetch(`${gateway.dataUrl}/key${i}`);
    const body = (await response.json()) as { value?: number; code?: string; node?: string };
    if (response.status === 200) expect(body.value).toBe(i);
    const { code, node } = body;
    all.push({ status: response.status, retry: response.headers.get("retry-after"), ...(code && { code, node }) });
  }
  return all as { status: number; code?: string; node?: string; retry: string | null }[];
}

test("a server that answers is not removed as dead, and one that is dead not as alive", async () => {
  expect((await remove(name(3), "&dead=true")).body).toMatchObject({ status: 400, code: "INVALID_OPTION" });
  const path = `/api/nodes/${encodeURIComponent(name(3))}?dead=true`;
  expect((await admin(gateway, "DELETE", path)).body).toMatchObject({ status: 400, code: "INVALID_OPTION" });
  expect((await remove(name(3), "&dead=perhaps")).body).toMatchObject({ status: 400, code: "INVALID_OPTION" });
  await cluster.memcached[3]!.kill("SIGKILL");
  expect((await remove(name(3), "")).body).toMatchObject({ status: 503, code: "NODE_DOWN", node: name(3) });
});

test("a dead server is taken out: what it had is lost and counted, nothing else", async () => {
  const { status, body } = await remove(name(3), "&dead");
  expect([status, body.command]).toEqual([200, `remove-node --dead ${name(3)}`]);
  const answers = await readAll();
  const missing = answers.filter((answer) => answer.status === 404).length;
  expect((body.lost as { keys: number }).keys).toBe(missing);
  expect(missing).toBeGreaterThan(KEYS / 10);
  expect(answers.every((answer) => answer.status === 200 || answer.status === 404)).toBe(true);
});

test("a server that dies while keys leave it is given up, and the change ends", async () => {
  const abandon = (node: string) => admin(gateway, "POST", "/api/migration/abandon", { node });
  expect((await abandon(name(2))).body).toMatchObject({ status: 400, code: "INVALID_OPTION" }); // nothing is under way
  const before = (await readAll()).filter(({ status }) => status === 200).length;
  const leaving = encodeURIComponent(name(2));
  const begun = await admin(gateway, "DELETE", `/api/nodes/${leaving}`);
  expect(begun.status).toBe(202);
  let phase: unknown;
  while (phase !== "D") phase = (await admin(gateway, "GET", "/api/topology")).body.phase;
  await cluster.memcached[2]!.kill("SIGKILL");
  expect((await admin(gateway, "GET", "/api/topology")).body.phase).toBe("D");
  expect((await abandon(name(0))).body).toMatchObject({ code: "INVALID_OPTION" }); // nothing moves from it
  expect(await abandon(name(2))).toMatchObject({ status: 202, body: { abandoned: name(2) } });
  while ((await admin(gateway, "GET", "/api/migration")).body.migration !== null) await sleep(50);
  const { nodes } = (await admin(gateway, "GET", "/api/topology")).body as { nodes: { address: string }[] };
  expect(nodes.map(({ address }) => address)).toEqual([name(0), name(1)]);
  const after = (await readAll()).filter(({ status }) => status === 200).length;
  expect(after).toBeLessThan(before);
  expect((await locate(1)).movingFrom).toBeUndefined();
});

test("a node that hangs: its keys are 503 with Retry-After and the node, at once when it is known; the others are served", async () => {
  const hanging = cluster.memcached[1]!;
  await hanging.kill("SIGSTOP");
  const answers = await readAll(); // at a second a request this would take longer than a test may
  const failed = answers.filter(({ status }) => status >= 500);
  expect(failed.length).toBeGreaterThan(KEYS / 10);
  expect(new Set(failed.map(({ status, node, retry }) => `${status} ${node} ${retry}`))).toEqual(
    new Set([`503 ${hanging.address} 1`]),
  );
  expect((await fetch(`${gateway.dataUrl}/key0`)).headers.get("x-cacheserver-count")).toBe("1");
  await hanging.kill("SIGCONT");
  while ((await fetch(`${gateway.dataUrl}/key0`)).headers.get("x-cacheserver-count") !== "2") await sleep(50);
  while ((await readAll()).some(({ status }) => status >= 500)) await sleep(50);
});
