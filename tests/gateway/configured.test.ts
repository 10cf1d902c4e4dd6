/** The configuration edited while the gateway runs, under traffic: vnodes 40, 80, 400, 40, a broken file, nodes that come and go. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { admin, start } from "./gateway-support.ts";

vi.setConfig({ testTimeout: 240_000 }); // programs and migrations, on a machine that may be busy

const KEYS = 1_000;
let cluster: LocalCluster;
let gateway: Gateway;
let folder: string;
let file: string;
let stopped = false;
let traffic: Promise<{ requests: number; failures: string[] }>;

beforeAll(async () => {
  cluster = await LocalCluster.start();
  folder = mkdtempSync(join(tmpdir(), "ringshift-configured-"));
  file = join(folder, "ringshift.yaml");
  writeFileSync(file, nodesText(cluster.servers));
  gateway = await start(cluster, { file });
  for (let i = 0; i < KEYS; i++) await post(`/key${i}`, i);
  traffic = readAndWrite();
});
afterAll(async () => {
  stopped = true;
  await traffic;
  await gateway?.close();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("starts the cluster that the file names", async () => {
  expect((await nodes()).map((node) => node.address)).toEqual(cluster.servers);
});

test.each([80, 400, 40])("an edit to %i vnodes is a migration without a failed request", async (vnodes) => {
  replaceFile(nodesText(cluster.servers, ` vnodes: ${vnodes}`));
  const name = cluster.servers[0]!;
  await event(`set-vnodes ${name} ${vnodes}: done`);
  const { body } = await admin(gateway, "GET", `/api/points?node=${encodeURIComponent(name)}`);
  expect(body.points).toHaveLength(vnodes * 4);
});

test("a broken file changes nothing and says why", async () => {
  const before = (await admin(gateway, "GET", "/api/topology")).body.id;
  replaceFile("nodes:\n  - addres: 127.0.0.1:1\n");
  await event(/Nothing was changed: .*did you mean address\?/);
  replaceFile("nodes: [");
  await event(/Nothing was changed: .*ringshift.yaml:1/);
  expect((await admin(gateway, "GET", "/api/topology")).body.id).toBe(before);
  expect((await fetch(`${gateway.dataUrl}/key1`)).status).toBe(200);
});

test("a node joins and one leaves by one edit, times change with it, and a port's change asks for a restart", async () => {
  const added = (await cluster.addMemcached()).address;
  const [gone, ...rest] = cluster.servers;
  replaceFile(`${nodesText(rest)}timeouts:\n  ioMs: 900\nnamespace: other\n`);
  await event(`remove-node ${gone}: done`);
  expect((await nodes()).map((node) => node.address)).toEqual(rest);
  expect(rest).toContain(added);
  expect(events().join("\n")).toContain("namespace has changed: it takes effect when the gateway is started again");
});

test("no request failed meanwhile", async () => {
  stopped = true;
  const { requests, failures } = await traffic;
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(500);
  for (let i = 0; i < KEYS; i++) expect((await fetch(`${gateway.dataUrl}/key${i}`)).status).toBe(200);
});

function nodesText(addresses: readonly string[], first = ""): string {
  const lines = addresses.map(
    (address, i) => `  - {address: "${address}"${i === 0 && first !== "" ? `,${first}` : ""}}\n`,
  );
  return `nodes:\n${lines.join("")}`;
}

/** As editors and deployments do it. */
function replaceFile(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function events(): string[] {
  return gateway.log.entries.map((entry) => entry.text);
}

/** Resolves when the event log has it. */
async function event(text: string | RegExp): Promise<void> {
  while (!events().some((entry) => (typeof text === "string" ? entry.startsWith(text) : text.test(entry))))
    await sleep(20);
}

async function nodes(): Promise<{ address: string }[]> {
  return (await admin(gateway, "GET", "/api/topology")).body.nodes as { address: string }[];
}

async function post(path: string, value: unknown): Promise<number> {
  const response = await fetch(`${gateway.dataUrl}${path}`, { method: "POST", body: JSON.stringify({ value }) });
  await response.arrayBuffer();
  return response.status;
}

async function readAndWrite(): Promise<{ requests: number; failures: string[] }> {
  const failures: string[] = [];
  let requests = 0;
  const work = async (offset: number) => {
    for (let i = offset; !stopped; i = (i + 7) % KEYS) {
      const response = await fetch(`${gateway.dataUrl}/key${i}`);
      const body = await response.text();
      if (body !== `{"value":${i}}`) failures.push(`GET key${i}: ${response.status} ${body}`);
      if (i % 5 === 0) {
        const status = await post(`/key${i}`, i);
        if (status !== 201) failures.push(`POST key${i}: ${status}`);
      }
      requests++;
      await sleep(2); // the gateway is in this process, and a change needs its share of it
    }
  };
  await Promise.all([0, 1, 2, 3].map(work));
  return { requests, failures };
}
