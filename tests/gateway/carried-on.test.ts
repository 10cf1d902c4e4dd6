/** Who says that it coordinates a change: the gateway that carries it on, not one that waits for it. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { useBench } from "../support/bench.ts";
import { RemoteCoordinator } from "../support/coordinator.ts";
import { admin, start } from "./gateway-support.ts";

vi.setConfig({ testTimeout: 240_000 }); // programs and migrations, on a machine that may be busy

const bench = useBench({ memcached: 3 });

async function metric(gateway: Gateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  return Number(new RegExp(`^ringshift_${name} (\\S+)$`, "m").exec(text)?.[1]);
}

test("a change whose coordinator was killed, resumed by one gateway and asked for at another", async () => {
  const cluster = bench.cluster(2);
  const client = await cluster.client();
  await client.setMulti(Array.from({ length: 1_000 }, (_, i) => [`key${i}`, i] as const));
  const nodes = [{ address: bench.local.servers[2]! }];
  const killed = bench.own(new RemoteCoordinator());
  await killed.begin(cluster, { kind: "add-node", nodes }, { dieAt: "copied" });
  await killed.death();
  const flags = { namespace: cluster.names.name, "migration.keysPerSecond": 5, "admin.requestsPerSecond": 10_000 };
  const resumes = bench.own(await start(bench.local, { flags }));
  const waits = bench.own(await start(bench.local, { flags }));

  expect(await metric(resumes, "coordinating")).toBe(0);
  expect((await admin(resumes, "POST", "/api/migration/resume")).status).toBe(202);
  while ((await metric(resumes, "moved_keys")) === 0) await sleep(20);
  expect(await metric(resumes, "coordinating")).toBe(1);

  await admin(resumes, "POST", "/api/migration/pause"); // so that it is under way for as long as this test looks
  expect((await admin(waits, "POST", "/api/nodes", { nodes })).status).toBe(202);
  while (!waits.log.entries.some(({ text }) => text.includes("waiting for the lease"))) await sleep(20);
  expect(await metric(waits, "coordinating")).toBe(0);
  expect(await metric(resumes, "coordinating")).toBe(1);
  expect((await admin(resumes, "POST", "/api/nodes", { nodes })).body).toMatchObject({ code: "MIGRATION_RUNNING" });
});
