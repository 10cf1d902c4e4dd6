/** An edit of the configured nodes whose change stops half way, because a server is silent for longer than a copier has patience. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { useBench } from "../support/bench.ts";
import { admin, start } from "./gateway-support.ts";

vi.setConfig({ testTimeout: 240_000 }); // a copier's patience of 15 s, and a machine that may be busy

const KEYS = 600;
const bench = useBench({ memcached: 3 });

test("the edit is carried on once the server is back, and the log has each thing once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ringshift-stopped-"));
  const file = join(folder, "ringshift.yaml");
  const [a, b, c] = bench.local.servers as [string, string, string];
  const text = (nodes: readonly string[], rate: number) =>
    `nodes: ${JSON.stringify(nodes)}\nmigration: {keysPerSecond: ${rate}}\n`;
  writeFileSync(file, text([a, b], 10));
  const gateway = bench.own(await start(bench.local, { file, flags: { "admin.requestsPerSecond": 10_000 } }));
  const set = Object.fromEntries(Array.from({ length: KEYS }, (_, i) => [`key${i}`, i]));
  expect((await fetch(`${gateway.dataUrl}/`, { method: "POST", body: JSON.stringify({ set }) })).status).toBe(201);
  const phase = async () => (await admin(gateway, "GET", "/api/topology")).body.phase;
  const texts = () => gateway.log.entries.map((entry) => entry.text);
  const logged = async (wanted: string) => {
    while (!texts().some((entry) => entry.includes(wanted))) await sleep(20);
  };

  writeFileSync(file, text([c, b], 10));
  while ((await phase()) !== "D") await sleep(20);
  const silent = bench.local.memcached[0]!;
  await silent.kill("SIGSTOP");
  try {
    await logged(`add-node ${c}: MIGRATION_STOPPED`);
  } finally {
    await silent.kill("SIGCONT");
  }
  writeFileSync(file, text([c, b], 100_000)); // the rest need not take so long
  await logged(`remove-node ${a}: done`);

  expect(texts().filter((entry) => entry === `add-node ${c}: begun`)).toHaveLength(1);
  expect(texts().filter((entry) => entry === `remove-node ${a}: begun`)).toHaveLength(1);
  const { nodes } = (await admin(gateway, "GET", "/api/topology")).body as { nodes: { name: string }[] };
  expect(nodes.map(({ name }) => name).sort()).toEqual([b, c].sort());
  for (let i = 0; i < KEYS; i++) expect(await (await fetch(`${gateway.dataUrl}/key${i}`)).json()).toEqual({ value: i });
  rmSync(folder, { recursive: true, force: true });
});
