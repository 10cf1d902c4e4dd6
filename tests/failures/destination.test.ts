/** Rows of the failure table: a destination that is full, that evicts, or that has a smaller item size limit. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import type { Change } from "../../src/migration/change.ts";
import { startMemcached } from "../../src/testing/local-cluster.ts";
import { addServer, type Bench, bench, until } from "./support.ts";

const KIB = 1024;

async function adding(memoryMb: number, ...args: string[]): Promise<{ change: Change; address: string }> {
  const server = await addServer(() => startMemcached({ memoryMb, args }));
  return { change: { kind: "add-node", nodes: [{ address: server.address }] }, address: server.address };
}

async function refusedUnlessForced(b: Bench, change: Change, address: string): Promise<void> {
  const before = await b.admin.topology();
  const refusal = { code: "WOULD_NOT_FIT", node: address };
  await expect(b.admin.plan(change)).rejects.toMatchObject(refusal);
  await expect(b.admin.apply(change)).rejects.toMatchObject(refusal);
  expect(await b.admin.topology()).toEqual(before);
  await expect(b.admin.apply(change, { force: true })).rejects.toMatchObject(refusal);
  expect((await b.admin.topology()).phase).toBe("D");
}

test("destination full, without evictions: refused; when forced the copier stops, abort puts the ring back", async () => {
  const b = await bench({ memcached: 2 });
  await b.fill(600, "large", 30 * KIB);
  const { change, address } = await adding(2, "-M");
  await refusedUnlessForced(b, change, address);

  // what a client's own access cannot store is dropped and counted: a miss from then on, never an old value
  await until(() => b.client.topology().phase === "D");
  const wrong = await b.wrong();
  const dropped = b.client.metrics().dropped;
  expect(dropped).toBeGreaterThan(0);
  expect(wrong).toHaveLength(dropped);
  expect([...(await b.client.getMulti(wrong)).keys()]).toEqual([]);

  for (const key of wrong) b.expected.delete(key);
  const report = await b.admin.abort();
  expect(report.outcome).toBe("reversed");
  expect((await b.admin.topology()).nodes).toHaveLength(2);
  expect(await b.wrong()).toHaveLength(report.dropped);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true });
});

test("abort puts the ring back although the old owner is full by now", async () => {
  const b = await bench({ memcached: 1 });
  const { change: join, address: small } = await adding(4, "-M");
  await b.admin.apply(join);
  await b.fill(1_400, "large", 2 * KIB);
  const other = (await b.admin.topology()).nodes.find(({ address }) => address !== small)!;
  const change = { kind: "set-weight", name: other.name, weight: 20 } as const;
  const stopped = new Error("the coordinator ends here");
  const dieAt = (last: string) => ({
    onProgress: ({ step }: { readonly step: string }) => {
      if (step === last) throw stopped;
    },
  });
  await expect(b.admin.apply(change, dieAt("copying"))).rejects.toBe(stopped);
  await expect(b.admin.abort(dieAt("done"))).rejects.toBe(stopped); // forward is done, back is not
  await fillUp(small);
  const report = await b.admin.abort();
  expect(report.outcome).toBe("reversed");
  expect((await b.admin.topology()).nodes).toHaveLength(2);
  expect(await b.wrong()).toHaveLength(report.dropped);
});

/** Until nothing more fits, of whatever size. */
async function fillUp(address: string): Promise<void> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  for (const size of [64 * KIB, 8 * KIB, 2 * KIB, KIB / 2]) {
    for (let i = 0, stored = true; stored; i++) {
      socket.write(`set ballast:${size}:${i} 0 0 ${size}\r\n${"-".repeat(size)}\r\n`);
      const [reply] = (await once(socket, "data")) as [Buffer];
      stored = reply.toString().startsWith("STORED");
    }
  }
  socket.destroy();
}

test("destination with a smaller item size limit: refused; when forced the copier stops, abort counts what it dropped", async () => {
  const b = await bench({ memcached: 2 });
  await b.fill(300);
  await b.fill(30, "large", 700 * KIB);
  const { change, address } = await adding(64, "-I", "512k");
  await refusedUnlessForced(b, change, address);
  const report = await b.admin.abort();
  expect(report.dropped).toBeGreaterThan(0);
  const wrong = await b.wrong();
  expect(wrong).toHaveLength(report.dropped);
  expect(wrong.every((key) => key.startsWith("large"))).toBe(true);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 330 - report.dropped });
});

test("destination evicting: what it evicts is a miss, nothing stale, nothing comes back", async () => {
  const b = await bench({ memcached: 2 });
  await b.fill(600, "large", 30 * KIB);
  const { change, address } = await adding(2);
  await b.admin.apply(change);
  const evicted = await b.wrong();
  expect(evicted.length).toBeGreaterThan(0);
  expect(evicted.filter((key) => b.client.locate(key).node !== address)).toEqual([]);
  expect([...(await b.client.getMulti(evicted)).keys()]).toEqual([]);
  await b.admin.apply({ kind: "remove-node", names: [address] });
  const wrong = new Set(await b.wrong());
  expect(evicted.filter((key) => !wrong.has(key))).toEqual([]); // still gone
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true });
});
