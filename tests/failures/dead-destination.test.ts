/** Rows of the failure table: a server that keys move to dies for good while they move. */
import { expect, test } from "vitest";
import type { Change } from "../../src/migration/change.ts";
import type { MemcachedServer } from "../../src/testing/local-cluster.ts";
import { type Bench, bench, Died, dieAt, dieOnceMoved, until } from "./support.ts";

interface InD {
  readonly change: Change;
  readonly joining: MemcachedServer;
}

/** An addition that stands in D with a part of the keys across; some of the moving keys have been written and deleted since. */
async function standInD(b: Bench, copied: number): Promise<InD> {
  await b.fill(2_000);
  const joining = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address: joining.address }] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", copied) })).rejects.toThrow(Died);
  await until(() => b.client.topology().phase === "D");
  const moving = [...b.expected.keys()].filter((key) => b.client.locate(key).movingFrom !== undefined);
  for (const key of moving.slice(0, 20)) {
    await b.client.set(key, `newer ${key}`);
    b.expected.set(key, `newer ${key}`);
  }
  for (const key of moving.slice(20, 30)) {
    await b.client.delete(key);
    b.expected.delete(key);
  }
  return { change, joining };
}

/** Every key reads as written last, or not at all; answers the latter. */
async function lostKeys(b: Bench): Promise<string[]> {
  const found = await b.client.getMulti<string>(b.expected.keys());
  const lost = [...b.expected.keys()].filter((key) => !found.has(key));
  const stale = [...b.expected].filter(([key, value]) => found.has(key) && found.get(key) !== value);
  expect(stale).toEqual([]);
  return lost;
}

test("destination dies in D: NODE_DOWN and never a miss, until migration abandon; what had crossed is lost and counted per arc", async () => {
  const b = await bench();
  const { change, joining } = await standInD(b, 20);
  await expect(b.admin.abandon(joining.address)).rejects.toMatchObject({ code: "INVALID_OPTION" }); // it answers
  await joining.kill();
  const moving = [...b.expected.keys()].filter((key) => b.client.locate(key).node === joining.address);
  for (const read of await Promise.allSettled(moving.map((key) => b.client.get(key)))) {
    expect(read).toMatchObject({ status: "rejected", reason: { code: "NODE_DOWN" } });
  }

  const report = (await b.admin.abandon(joining.address))!;
  const topology = await b.admin.topology();
  expect(topology).toMatchObject({ phase: "S", settling: false, dead: [] });
  expect(topology.nodes.map(({ address }) => address)).not.toContain(joining.address);
  const lost = await lostKeys(b);
  expect(lost.length).toBeGreaterThanOrEqual(20); // those that were written meanwhile are among them
  expect(report.lost!.keys).toBe(lost.length + 10); // entries: the deleted keys are listed too
  expect(report.lost!.arcs.reduce((sum, { keys }) => sum + keys, 0)).toBe(report.lost!.keys);
  expect(new Set(report.lost!.arcs.map(({ to }) => to))).toEqual(new Set([joining.address]));
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size - lost.length });

  for (const key of lost) await b.client.set(key, b.expected.get(key)!);
  expect(await b.wrong()).toEqual([]);
  await joining.restart();
  await b.admin.apply(change);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size });
});

test("destination that is given up and comes back with its values: they are never served", async () => {
  const b = await bench();
  const { change, joining } = await standInD(b, 60);
  await joining.kill("SIGSTOP"); // its memory stays
  await b.admin.abandon(joining.address);
  const lost = await lostKeys(b);
  expect(lost.length).toBeGreaterThan(0);
  await joining.kill("SIGCONT");
  expect(await lostKeys(b)).toEqual(lost);
  await expect(b.admin.apply(change)).rejects.toMatchObject({ code: "NODE_NOT_EMPTY" });
  await b.admin.apply(change, { flush: true });
  expect(await lostKeys(b)).toEqual(lost);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true });
});

test("destination that was a node before: its own keys are lost as well, what has not crossed moves to a third node", async () => {
  const b = await bench();
  await b.fill(2_000);
  const [leaving, dead] = b.servers;
  const own = b.keysOn(dead!.address);
  const change: Change = { kind: "remove-node", names: [leaving!.address] };
  await expect(b.admin.apply(change, { onProgress: dieOnceMoved(200) })).rejects.toThrow(Died); // to both others in turns
  await dead!.kill();
  const report = (await (await b.operator()).abandon(dead!.address))!;
  expect((await b.admin.topology()).nodes).toHaveLength(1);
  const lost = await lostKeys(b);
  expect(lost).toEqual(expect.arrayContaining(own));
  expect(lost.length).toBeGreaterThan(own.length);
  expect(lost.length).toBeLessThan(1_500);
  expect(report.lost!.keys).toBe(lost.length);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 2_000 - lost.length });
});

test("abandon of a destination whose process dies is carried on by the command of the change", async () => {
  const b = await bench();
  await b.fill(1_000);
  const [leaving, dead] = b.servers;
  const change: Change = { kind: "remove-node", names: [leaving!.address] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 5) })).rejects.toThrow(Died);
  await dead!.kill();
  await expect(b.admin.abandon(dead!.address, { onProgress: dieAt("copied", 5) })).rejects.toThrow(Died);
  expect(await b.admin.topology()).toMatchObject({ phase: "D", dead: [dead!.address] });
  await (await b.operator()).apply(change);
  const lost = await lostKeys(b);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_000 - lost.length });
});

test("the only destination cannot be given up", async () => {
  const b = await bench({ memcached: 2 });
  await b.fill(300);
  const [leaving, dead] = b.servers;
  const change: Change = { kind: "remove-node", names: [leaving!.address] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 5) })).rejects.toThrow(Died);
  await dead!.kill();
  await expect(b.admin.abandon(dead!.address)).rejects.toMatchObject({ code: "LAST_NODE" });
  await dead!.restart(); // empty: what had crossed is lost, as with any memcached that restarts
  await b.admin.apply(change);
  await lostKeys(b);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true });
});
