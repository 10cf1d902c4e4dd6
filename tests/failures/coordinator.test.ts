/** Rows of the failure table: the coordinator or the copier dies, two commands at once, and what an operator may do in between. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Command } from "../../src/memcached/exchange.ts";
import type { Transport } from "../../src/memcached/transport.ts";
import type { Admin } from "../../src/migration/admin.ts";
import type { Change } from "../../src/migration/change.ts";
import { Coordinator } from "../../src/migration/coordinator.ts";
import type { Progress } from "../../src/migration/progress.ts";
import { Session } from "../../src/protocol/session.ts";
import { type Bench, bench, Died, dieAt, onEnd, until } from "./support.ts";

const PROGRAM = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

async function joining(b: Bench): Promise<Change> {
  const server = await b.cluster.addMemcached();
  return { kind: "add-node", nodes: [{ address: server.address }] };
}

async function phase(admin: Admin): Promise<string> {
  return (await admin.topology()).phase;
}

/** What `ringshift migration status` prints. */
async function status(b: Bench): Promise<string> {
  const words = [PROGRAM, "migration", "status", "--redis", b.cluster.redis.url];
  return (await promisify(execFile)(process.execPath, words)).stdout;
}

/** Nothing is lost or stale, before the change has ended and after, and the index is what the servers are. */
async function finish(b: Bench, change: Change): Promise<void> {
  expect(await b.wrong()).toEqual([]);
  const operator = await b.operator();
  await operator.apply(change);
  expect(await b.wrong()).toEqual([]);
  expect(await b.wrong(await b.open())).toEqual([]);
  expect(await operator.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size });
}

/** The keys moved, once the batches that were under way have ended. */
async function standstill(admin: Admin): Promise<number> {
  const seen = [-1];
  await until(async () => {
    seen.unshift((await admin.underWay())!.moved);
    return seen.length > 20 && seen.slice(0, 20).every((moved) => moved === seen[0]);
  });
  return seen[0]!;
}

test("coordinator dies in F: a client carries on within a second", async () => {
  const b = await bench();
  await b.fill(300);
  const change = await joining(b);
  await expect(b.admin.apply(change, { onProgress: dieAt("fencing") })).rejects.toThrow(Died);
  expect(await phase(b.admin)).toBe("F");
  await b.admin.close(); // nobody is left but the client
  await b.fill(300); // writes on moving keys wait for D, which the client itself brings about
  await until(() => b.client.topology().phase === "D");
  await finish(b, change);
});

test("coordinator dies in D: reads and writes go on, the same command resumes", async () => {
  const b = await bench();
  await b.fill(2_000);
  const change = await joining(b);
  const [address] = change.kind === "add-node" ? change.nodes.map((node) => node.address) : [];
  const words = ["add-node", address!, "--yes", "--rate", "400", "--redis", b.cluster.redis.url];
  const child = spawn(process.execPath, [PROGRAM, ...words], { stdio: "ignore" });
  await until(async () => ((await b.admin.underWay())?.moved ?? 0) > 0);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await phase(b.admin)).toBe("D");
  await b.fill(500);
  await finish(b, change);
});

test("coordinator dies between S and the end of its cleaning: entries stay behind until a sweep, and do no harm", async () => {
  const b = await bench();
  await b.fill(500);
  const change = await joining(b);
  await expect(b.admin.apply(change, { onProgress: dieAt("cleaning") })).rejects.toThrow(Died);
  expect(await phase(b.admin)).toBe("S");
  await until(async () => !(await b.admin.topology()).settling); // the clients end it; the coordinator does not come back
  expect(await b.wrong()).toEqual([]);
  const report = await b.admin.verify({ full: true });
  expect(report).toMatchObject({ clean: true, keys: 500 });
  expect(report.leftOver).toBeGreaterThan(0);
  await b.admin.sweep();
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 500, entries: 500, leftOver: 0 });
  expect(await b.wrong()).toEqual([]);
});

test("coordinator dies between S and the end of its cleaning: the same command finishes it", async () => {
  const b = await bench();
  await b.fill(500);
  const change = await joining(b);
  await expect(b.admin.apply(change, { onProgress: dieAt("cleaning") })).rejects.toThrow(Died);
  await finish(b, change);
});

test("coordinator dies between S and the end of its cleaning: the same command finishes it, also when the clients have ended the settling", async () => {
  const b = await bench();
  await b.fill(500);
  const change = await joining(b);
  await expect(b.admin.apply(change, { onProgress: dieAt("cleaning") })).rejects.toThrow(Died);
  await until(async () => !(await b.admin.topology()).settling);
  expect((await b.admin.verify({ full: true })).leftOver).toBeGreaterThan(0);
  expect(await (await b.operator()).apply(change)).toMatchObject({ resumed: true });
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 500, entries: 500, leftOver: 0 });
});

test("coordinator dies between S and the end of its cleaning, and a reindex as it settles: the next change finishes it", async () => {
  const b = await bench();
  await b.fill(500);
  await expect(b.admin.apply(await joining(b), { onProgress: dieAt("cleaning") })).rejects.toThrow(Died);
  await until(async () => !(await b.admin.topology()).settling);
  const { store } = await b.session();
  let acknowledged = 0;
  const beat = () => store!.heartbeat({ clientId: "straggler", acknowledged }, null).catch(() => {});
  await beat();
  const timer = setInterval(beat, 300);
  onEnd(async () => clearInterval(timer));
  const [name, other] = b.servers.map(({ address }) => address);
  await expect(b.admin.reindex(name!, dieAt("settling"))).rejects.toThrow(Died);

  const onProgress = ({ step }: Progress) => {
    if (step === "settling") acknowledged = Number.MAX_SAFE_INTEGER; // not before the change has found the reindex' F behind it
  };
  await b.admin.apply({ kind: "set-weight", name: other!, weight: 1.1 }, { onProgress });
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 500, entries: 500, leftOver: 0 });
});

test("copier dies at any step: before an exchange with a server of each kind, nothing is lost and the next one carries on", async () => {
  const b = await bench();
  await b.fill(4_000);
  const change = await joining(b);
  await expect(b.admin.apply(change, { onProgress: dieAt("copying") })).rejects.toThrow(Died);
  const { session, store } = await b.session();
  const run = (dies: (commands: readonly Command[]) => boolean) => {
    let dead = false;
    const transport: Transport = {
      dump: (node) => session.transport.dump(node),
      exchange: async (...words) => {
        dead ||= dies(words[1]);
        if (dead) throw new Died("between two steps"); // whatever its other batches were at
        return session.transport.exchange(...words);
      },
    };
    const { namespace, clock, recorder } = session;
    const mortal = new Session({ namespace, transport, store: store!, clock, recorder }, session.view);
    return new Coordinator(mortal, store!, {}).run(change);
  };
  const keys = [...b.expected.keys()];
  for (let nth = 1; nth <= 4; nth++) {
    for (const verb of ["add ", "mg ", "cas ", "md "]) {
      let left = nth;
      const dies = (commands: readonly Command[]) => commands[0]!.line.startsWith(verb) && --left === 0;
      await expect(run(dies), `${verb}${nth}`).rejects.toThrow(Died);
      const some = keys.splice(0, 100); // not all: what a client reads it pulls
      expect(await b.client.getMulti(some)).toEqual(new Map(some.map((key) => [key, b.expected.get(key)])));
    }
  }
  expect(await run(() => false)).toMatchObject({ resumed: true });
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 4_000 });
});

test("two add-node at once: one after the other, or the second is refused", async () => {
  const b = await bench();
  await b.fill(500);
  const [first, second] = [await joining(b), await joining(b)];
  const other = await b.operator();
  const outcomes = await Promise.allSettled([b.admin.apply(first), other.apply(second)]);
  const refused = outcomes.filter((outcome) => outcome.status === "rejected");
  for (const { reason } of refused) expect(reason).toMatchObject({ code: "MIGRATION_RUNNING" });
  const { nodes } = await b.admin.topology();
  expect(nodes).toHaveLength(5 - refused.length);
  expect(refused.length).toBeLessThan(2);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 500 });
});

test("migration pause: the copier stands still, clients pull what they touch; resume: it goes on", async () => {
  const b = await bench();
  await b.fill(2_000);
  const change = await joining(b);
  const waits: string[] = [];
  const done = b.admin.apply(change, {
    rate: 1_000,
    onProgress: (progress) => void (progress.step === "waiting" && waits.push(progress.reason)),
  });
  const other = await b.operator();
  await until(async () => ((await other.underWay())?.moved ?? 0) > 0);
  await other.pause();
  await until(() => waits.some((reason) => reason.startsWith("paused")));
  const moved = await standstill(other);
  expect(await b.wrong()).toEqual([]);
  expect(b.client.metrics().pulled).toBeGreaterThan(0);
  expect(await other.underWay()).toMatchObject({ state: "copying", moved, paused: true });
  expect(await other.resume()).toBeUndefined(); // the coordinator that stood still goes on
  await done;
  expect(await b.wrong()).toEqual([]);
});

test("migration resume carries on what nobody coordinates", async () => {
  const b = await bench();
  await b.fill(500);
  await expect(b.admin.apply(await joining(b), { onProgress: dieAt("copied", 3) })).rejects.toThrow(Died);
  await b.admin.pause();
  expect(await (await b.operator()).resume()).toMatchObject({ resumed: true });
  expect(await phase(b.admin)).toBe("S");
  expect(await b.wrong()).toEqual([]);
  await expect(b.admin.pause()).rejects.toMatchObject({ code: "INVALID_OPTION" });
});

test("migration abort in F: the old ring at once", async () => {
  const b = await bench();
  await b.fill(300);
  const { nodes } = await b.admin.topology();
  await expect(b.admin.apply(await joining(b), { onProgress: dieAt("fencing") })).rejects.toThrow(Died);
  expect(await b.admin.abort()).toMatchObject({ outcome: "taken-back" });
  expect((await b.admin.topology()).nodes).toEqual(nodes);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 300 });
});

test("migration abort in D: forward, then back, with everything readable, while another process copies", async () => {
  const b = await bench();
  await b.fill(2_000);
  const { nodes } = await b.admin.topology();
  const copying = b.admin.apply(await joining(b), { rate: 500 });
  const stopped = expect(copying).rejects.toMatchObject({ code: "MIGRATION_STOPPED" });
  const other = await b.operator();
  await until(async () => ((await other.underWay())?.moved ?? 0) > 0);
  expect(await other.abort()).toMatchObject({ outcome: "reversed", dropped: 0 });
  await stopped;
  expect((await other.topology()).nodes).toEqual(nodes);
  expect(await b.wrong()).toEqual([]);
  expect(await other.verify({ full: true })).toMatchObject({ clean: true, keys: 2_000 });
  await expect(other.abort()).rejects.toMatchObject({ code: "INVALID_OPTION" });
});

test("migration abort that dies, on its way forward and on its way back, is carried on", async () => {
  const b = await bench();
  await b.fill(600);
  const { nodes } = await b.admin.topology();
  const [leaving] = nodes;
  const change: Change = { kind: "remove-node", names: [leaving!.name] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 3) })).rejects.toThrow(Died);
  await expect(b.admin.abort({ onProgress: dieAt("copied", 10) })).rejects.toThrow(Died);
  await expect(b.admin.abort({ onProgress: dieAt("planned") })).rejects.toThrow(Died);
  expect((await b.admin.topology()).nodes).toHaveLength(2);
  await expect(b.admin.abort({ onProgress: dieAt("copied", 10) })).rejects.toThrow(Died);
  expect(await b.admin.abort()).toMatchObject({ outcome: "reversed", dropped: 0 });
  const names = (await b.admin.topology()).nodes.map((node) => node.name);
  expect(names.sort()).toEqual(nodes.map((node) => node.name).sort());
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 600 });
});

test("migration abort that dies is carried on by migration resume, and migration status tells of it", async () => {
  const b = await bench();
  await b.fill(300);
  const { nodes } = await b.admin.topology();
  await expect(b.admin.apply(await joining(b), { onProgress: dieAt("copied", 3) })).rejects.toThrow(Died);
  expect(await b.admin.abortPending()).toBe(false);
  await expect(b.admin.abort({ onProgress: dieAt("planned") })).rejects.toThrow(Died);
  expect(await phase(b.admin)).toBe("S");
  expect(await b.admin.abortPending()).toBe(true);
  expect(await status(b)).toContain("An abort was interrupted before its way back: ringshift migration abort");
  await expect(b.admin.resume({ onProgress: dieAt("copied", 3) })).rejects.toThrow(Died);
  expect(await b.admin.resume()).toMatchObject({ command: "migration abort" });
  expect((await b.admin.topology()).nodes).toEqual(nodes);
  expect(await b.admin.abortPending()).toBe(false);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 300 });
});

test("an abort that another change has overtaken is not what migration resume carries on", async () => {
  const b = await bench();
  await b.fill(600);
  const [first, second] = (await b.admin.topology()).nodes;
  const abandoned: Change = { kind: "set-vnodes", name: first!.name, vnodes: 80 };
  await expect(b.admin.apply(abandoned, { onProgress: dieAt("copied", 3) })).rejects.toThrow(Died);
  await expect(b.admin.abort({ onProgress: dieAt("planned") })).rejects.toThrow(Died);

  const other: Change = { kind: "set-vnodes", name: second!.name, vnodes: 80 };
  await expect(b.admin.apply(other, { onProgress: dieAt("copied", 3) })).rejects.toThrow(Died);
  expect(await b.admin.underWay()).toMatchObject({ aborting: false });
  expect(await b.admin.resume()).toMatchObject({ command: expect.stringContaining(second!.name), resumed: true });
  expect((await b.admin.topology()).nodes).toMatchObject([{ vnodes: 80 }, { vnodes: 80 }, {}]);

  expect(await b.admin.abortPending()).toBe(false);
  expect(await b.admin.resume()).toBeUndefined();
  await expect(b.admin.abort()).rejects.toMatchObject({ code: "INVALID_OPTION" });
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 600 });
});
