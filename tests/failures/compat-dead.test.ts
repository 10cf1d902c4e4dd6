/**
 * A server that dies in a ring where a node's points go by the weights of all: without it the living ones own other keys, or the same keys by other
 * points, and these have to be copied, or listed anew.
 */
import { describe, expect, test } from "vitest";
import type { Change } from "../../src/migration/change.ts";
import { startMemcached } from "../../src/testing/local-cluster.ts";
import { addServer, type Bench, compatBench, Died, dieAt, until } from "./support.ts";

/** The keys that do not read as written, but for those that may be lost. */
async function harmed(b: Bench, lost: ReadonlySet<string>): Promise<string[]> {
  return (await b.wrong()).filter((key) => !lost.has(key));
}

/** A memcached at the address of one that is dead. */
function startAgain(address: string) {
  return addServer(() => startMemcached({ port: Number(address.split(":").at(-1)) }));
}

describe.each(["libketama", "libmemcached"] as const)("in the ring of %s", (compat) => {
  test("remove-node --dead loses the dead server's keys alone, and what is deleted after it stays deleted", async () => {
    const b = await compatBench(compat, [1, 2, 3]);
    await b.fill(2_000);
    const dead = b.servers[0]!;
    const lost = new Set(b.keysOn(dead.address));
    await dead.kill();
    const report = await b.admin.apply({ kind: "remove-node", names: [dead.address], dead: true });
    expect(report.lost!.keys).toBe(lost.size);
    expect(await harmed(b, lost)).toEqual([]);
    expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 2_000 - lost.size });

    for (const key of b.expected.keys()) await b.client.delete(key);
    await startAgain(dead.address);
    await b.admin.apply({ kind: "add-node", nodes: [{ address: dead.address, weight: 1 }] });
    expect((await b.client.getMulti(b.expected.keys())).size).toBe(0);
  });

  test("remove-node --dead cannot be taken back from D, and says so; run again it ends", async () => {
    const b = await compatBench(compat, [1, 2, 3]);
    await b.fill(1_000);
    const dead = b.servers[0]!;
    const lost = new Set(b.keysOn(dead.address));
    await dead.kill();
    const change: Change = { kind: "remove-node", names: [dead.address], dead: true };
    await expect(b.admin.apply(change, { onProgress: dieAt("copying") })).rejects.toThrow(Died);
    await until(() => b.client.topology().phase === "D");
    const refused = { code: "INVALID_OPTION", message: expect.stringContaining("nothing to go back to") };
    await expect(b.admin.abort()).rejects.toMatchObject(refused);
    await b.admin.apply(change);
    expect(await harmed(b, lost)).toEqual([]);
  });

  test("a destination is not abandoned: started again, empty, it lets the change go on", async () => {
    const b = await compatBench(compat, [1, 2, 3]);
    await b.fill(2_000);
    const joining = [await b.cluster.addMemcached(), await b.cluster.addMemcached()];
    const change: Change = { kind: "add-node", nodes: joining.map(({ address }) => ({ address, weight: 1 })) };
    await expect(b.admin.apply(change, { onProgress: dieAt("verified") })).rejects.toThrow(Died);
    await until(() => b.client.topology().phase === "D");
    const dead = joining[1]!;
    const crossed = new Set(b.keysOn(dead.address));
    await dead.kill();
    const before = await b.admin.topology();
    await expect(b.admin.abandon(dead.address)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      node: dead.address,
      message: expect.stringContaining("start a memcached"),
    });
    expect((await b.admin.topology()).id).toBe(before.id);

    await startAgain(dead.address);
    await b.admin.resume();
    expect((await b.admin.topology()).phase).toBe("S");
    expect(await harmed(b, crossed)).toEqual([]);
    expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 2_000 - crossed.size });
  });
});

test("remove-node --dead where no living server's key moves, and only points change: the next change finds every key", async () => {
  const b = await compatBench("libketama", [1, 3]);
  await b.fill(1_000);
  const dead = b.servers[0]!;
  const lost = new Set(b.keysOn(dead.address));
  await dead.kill();
  await b.admin.apply({ kind: "remove-node", names: [dead.address], dead: true });
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_000 - lost.size });
  const joining = await b.cluster.addMemcached();
  await b.admin.apply({ kind: "add-node", nodes: [{ address: joining.address }] });
  expect(await harmed(b, lost)).toEqual([]);
});

test.each(["fencing", "copying"])(
  "remove-node --dead whose coordinator dies at %s: the same command resumes it",
  async (step) => {
    const b = await compatBench("libketama", [1, 2, 3]);
    await b.fill(1_000);
    const dead = b.servers[0]!;
    const lost = b.keysOn(dead.address);
    await dead.kill();
    const change: Change = { kind: "remove-node", names: [dead.address], dead: true };
    await expect(b.admin.apply(change, { onProgress: dieAt(step) })).rejects.toThrow(Died);
    await until(() => b.client.topology().phase === "D"); // a client has carried it on, or the coordinator
    const hasty = await b.open({ timeoutMs: 1_000 });
    await expect(hasty.get(lost[0]!)).rejects.toMatchObject({ code: "NODE_DOWN" }); // and never a miss
    const living = [...b.expected.keys()].filter((key) => !lost.includes(key));
    const found = await b.client.getMulti<string>(living);
    expect(living.filter((key) => found.get(key) !== b.expected.get(key))).toEqual([]);

    const report = await b.admin.apply(change);
    expect(report).toMatchObject({ resumed: true, lost: { keys: lost.length } });
    expect(await harmed(b, new Set(lost))).toEqual([]);
    expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_000 - lost.length });
  },
);
