/** Rows of the failure table: a server that keys move from dies for good. */
import { expect, test } from "vitest";
import type { Change } from "../../src/migration/change.ts";
import { type Bench, bench, Died, dieAt, until } from "./support.ts";

/** Every key reads as written, but for those that were on the dead server: a miss. */
async function onlyLost(b: Bench, lost: ReadonlySet<string>): Promise<void> {
  const wrong = await b.wrong();
  expect(wrong.filter((key) => !lost.has(key))).toEqual([]);
  const found = await b.client.getMulti(lost);
  expect([...found.keys()]).toEqual([]);
}

test("source dies before D: no live change, but remove-node --dead, which counts what is lost per arc", async () => {
  const b = await bench();
  await b.fill(1_000);
  const dead = b.servers[1]!;
  const lost = new Set(b.keysOn(dead.address));
  const refusal = { code: "INVALID_OPTION", node: dead.address };
  const change: Change = { kind: "remove-node", names: [dead.address], dead: true };
  await expect(b.admin.apply(change)).rejects.toMatchObject(refusal); // it answers

  await dead.kill();
  const before = await b.admin.topology();
  await expect(b.admin.apply({ kind: "remove-node", names: [dead.address] })).rejects.toMatchObject({
    code: "NODE_DOWN",
  });
  expect(await b.admin.topology()).toEqual(before);

  const report = await b.admin.apply(change);
  expect(report.lost!.keys).toBe(lost.size);
  expect(report.lost!.arcs.length).toBeGreaterThan(20);
  expect(report.lost!.arcs.reduce((sum, arc) => sum + arc.keys, 0)).toBe(lost.size);
  expect(new Set(report.lost!.arcs.map((arc) => arc.from))).toEqual(new Set([dead.address]));
  await onlyLost(b, lost);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_000 - lost.size });
});

test("a name that no server has is not taken for a dead server's", async () => {
  const b = await bench();
  await b.fill(300);
  const unknown = { code: "NODE_UNKNOWN", message: expect.stringContaining(b.servers[0]!.address) };
  await expect(b.admin.abandon("typo")).rejects.toMatchObject(unknown);
  const change: Change = { kind: "remove-node", names: [b.servers[1]!.address] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 3) })).rejects.toThrow(Died);
  await expect(b.admin.abandon("typo")).rejects.toMatchObject(unknown);
});

test("two servers dead at once, of different weights: taken out together, every arc's count is what the ring says", async () => {
  const b = await bench({ memcached: 4 });
  const dead = b.servers.slice(0, 2);
  const names = dead.map(({ address }) => address);
  await b.admin.apply({ kind: "set-weight", name: names[1]!, weight: 3 });
  await b.fill(1_500);
  const lost = new Set(names.flatMap((name) => b.keysOn(name)));
  const { session } = await b.session();
  const hashes = [...lost].map((key) => session.view.hashOf(key));
  const change: Change = { kind: "remove-node", names, dead: true };
  await dead[0]!.kill();
  await expect(b.admin.apply(change)).rejects.toMatchObject({ code: "INVALID_OPTION", node: names[1] }); // it answers
  await dead[1]!.kill();
  await expect(b.admin.apply({ kind: "remove-node", names: names.slice(0, 1), dead: true })).rejects.toMatchObject({
    code: "NODE_DOWN", // the other one would take keys over
    message: expect.stringContaining(`remove-node --dead ${names.join(" ")}`),
  });

  const report = await b.admin.apply(change);
  expect(report.lost!.keys).toBe(lost.size);
  expect(new Set(report.lost!.arcs.map(({ from }) => from))).toEqual(new Set(names));
  for (const { after, upTo, keys } of report.lost!.arcs) {
    const inArc = hashes.filter((hash) => (after < upTo ? hash > after && hash <= upTo : hash > after || hash <= upTo));
    expect(inArc).toHaveLength(keys);
  }
  await onlyLost(b, lost);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_500 - lost.size });
});

test("a dead server's address under another name: what it still holds is refused all the same", async () => {
  const b = await bench();
  await b.fill(300);
  const dead = b.servers[0]!;
  const lost = new Set(b.keysOn(dead.address));
  await dead.kill("SIGSTOP");
  await b.admin.apply({ kind: "remove-node", names: [dead.address], dead: true });
  await dead.kill("SIGCONT");
  const nodes = [{ name: "reborn", address: dead.address, weight: 2 }];
  await expect(b.admin.apply({ kind: "add-node", nodes })).rejects.toMatchObject({ code: "NODE_NOT_EMPTY" });
  await b.admin.apply({ kind: "add-node", nodes }, { flush: true });
  await onlyLost(b, lost);
  for (const key of lost) await b.client.set(key, b.expected.get(key)!);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 300 });
});

test("a dead server that comes back with its old values is never served unless it is flushed", async () => {
  const b = await bench();
  await b.fill(600);
  const dead = b.servers[0]!;
  const lost = new Set(b.keysOn(dead.address));
  await dead.kill("SIGSTOP"); // its memory stays
  await b.admin.apply({ kind: "remove-node", names: [dead.address], dead: true });
  await dead.kill("SIGCONT");
  const change: Change = { kind: "add-node", nodes: [{ address: dead.address }] };
  await expect(b.admin.apply(change)).rejects.toMatchObject({ code: "NODE_NOT_EMPTY" });
  await expect(b.admin.apply(change, { adopt: true })).rejects.toMatchObject({ code: "NODE_NOT_EMPTY" });
  await onlyLost(b, lost);
  await b.admin.apply(change, { flush: true });
  await onlyLost(b, lost);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true });
});

test("remove-node --dead whose coordinator dies: a client carries on, its keys answer NODE_DOWN until then", async () => {
  const b = await bench();
  await b.fill(300);
  const dead = b.servers[2]!;
  const lost = b.keysOn(dead.address);
  await dead.kill();
  const change: Change = { kind: "remove-node", names: [dead.address], dead: true };
  await expect(b.client.get(lost[0]!)).rejects.toMatchObject({ code: "NODE_DOWN" });
  await expect(b.admin.apply(change, { onProgress: dieAt("fencing") })).rejects.toThrow(Died);
  await b.admin.close();
  await until(() => b.client.topology().nodes.length === 2 && b.client.topology().phase === "S");
  await b.client.set(lost[0]!, "new");
  expect(await b.client.get(lost[0]!)).toBe("new");
  const operator = await b.operator();
  await until(async () => !(await operator.topology()).settling);
  expect((await operator.topology()).dead).toEqual([]);
});

test("source dies in D: NODE_DOWN and never a miss, until migration abandon", async () => {
  const b = await bench();
  await b.fill(3_000);
  const joining = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address: joining.address }] };
  const dead = b.servers[0]!;
  const owned = new Set(b.keysOn(dead.address));
  const quiet = await b.operator();
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 20) })).rejects.toThrow(Died);
  await expect(quiet.abandon(dead.address)).rejects.toMatchObject({ code: "INVALID_OPTION" }); // it answers
  await dead.kill();

  await until(() => b.client.topology().phase === "D");
  const moving = [...owned].filter((key) => b.client.locate(key).movingFrom === dead.address);
  const reads = await Promise.allSettled(moving.map((key) => b.client.get(key)));
  const down = reads.filter((read) => read.status === "rejected");
  expect(down.length).toBeGreaterThan(0);
  for (const { reason } of down) expect(reason).toMatchObject({ code: "NODE_DOWN" });
  const values = reads.flatMap((read) => (read.status === "fulfilled" ? [read.value] : []));
  expect(values).not.toContain(undefined); // what had crossed is read, what had not is no miss
  const stuck = moving.filter((_, i) => reads[i]!.status === "rejected");
  await expect(b.client.set(stuck[0]!, "x")).rejects.toMatchObject({ code: "NODE_DOWN" });
  await expect(quiet.abandon(b.servers[2]!.address)).rejects.toMatchObject({ code: "INVALID_OPTION" });

  const report = (await quiet.abandon(dead.address))!;
  expect(report.lost!.keys).toBe(stuck.length);
  const topology = await quiet.topology();
  expect(topology).toMatchObject({ phase: "S", dead: [] });
  // the dead server is still a node: what it owns is down, what moved from it is lost, all else is there
  const onDead = new Set(b.keysOn(dead.address));
  const rest = [...b.expected.keys()].filter((key) => !onDead.has(key) && !stuck.includes(key));
  const found = await b.client.getMulti<string>(rest);
  expect(rest.filter((key) => found.get(key) !== b.expected.get(key))).toEqual([]);
  expect([...(await b.client.getMulti(stuck)).keys()]).toEqual([]);

  await quiet.apply({ kind: "remove-node", names: [dead.address], dead: true });
  await onlyLost(b, new Set([...onDead, ...stuck]));
  expect(await quiet.verify({ full: true })).toMatchObject({ clean: true });
});

test("abandon whose process dies is carried on by the command of the change", async () => {
  const b = await bench({ memcached: 2 });
  await b.fill(1_000);
  const leaving = b.servers[0]!;
  const change: Change = { kind: "remove-node", names: [leaving.address] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 5) })).rejects.toThrow(Died);
  await leaving.kill();
  await expect(b.admin.abandon(leaving.address, { onProgress: dieAt("copying") })).rejects.toThrow(Died);
  expect(await b.admin.topology()).toMatchObject({ phase: "D", dead: [leaving.address] });
  const report = await (await b.operator()).apply(change);
  expect(report).toMatchObject({ resumed: true });
  const wrong = await b.wrong();
  expect(wrong).toHaveLength(report.lost!.keys);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_000 - wrong.length });
});
