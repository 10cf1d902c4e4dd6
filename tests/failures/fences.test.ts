/** Rows of the failure table: a fence is evicted, or goes with everything else when a server is flushed or restarts. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { stats } from "../../src/memcached/admin.ts";
import { FENCE_KEY_PREFIX } from "../../src/memcached/key.ts";
import type { Change } from "../../src/migration/change.ts";
import { GATE_MS } from "../../src/protocol/session.ts";
import { bench, Died, dieAt, onEnd, until } from "./support.ts";

const FENCE = `${FENCE_KEY_PREFIX}default`;

/** A number, a new incarnation, and the mark of a server whose index may lack keys. */
const PLANTED = /^\d+ [0-9a-f]{16} u$/;

/** The fence's text; empty where there is none. */
async function item(address: string): Promise<string> {
  return (await lines(address, `mg ${FENCE} v`))[1] ?? "";
}

/** One text command, its answer's first line. */
async function tell(address: string, command: string): Promise<string> {
  return (await lines(address, command))[0]!;
}

async function lines(address: string, command: string): Promise<string[]> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  socket.write(`${command}\r\n`);
  const found = await new Promise<string[]>((resolve, reject) => {
    socket.once("data", (data) => resolve(data.toString().split("\r\n")));
    socket.once("error", reject);
  });
  socket.destroy();
  return found;
}

test("fence evicted, in S: planted again, nothing is lost, and the next migration reads the server itself", async () => {
  const b = await bench();
  await b.fill(500);
  const [first] = b.servers;
  expect(await tell(first!.address, `md ${FENCE}`)).toBe("HD");
  expect(await b.wrong()).toEqual([]);
  await b.fill(500);
  // in S a fence is planted beside the calls that miss it: its nonce, or nothing yet, may be what stands there for a moment
  await until(async () => PLANTED.test(await item(first!.address)));
  const dumped: string[] = [];
  const server = await b.cluster.addMemcached();
  await b.admin.apply(
    { kind: "add-node", nodes: [{ address: server.address }] },
    { onProgress: (progress) => void (progress.step === "dumping" && dumped.push(progress.node)) },
  );
  expect(dumped).toEqual([first!.address]);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, incomplete: [first!.address] });
  await b.admin.reindex(first!.address);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, incomplete: [], keys: 500 });
});

test("fence evicted at every server, in D: the change ends, nothing is lost", async () => {
  const b = await bench();
  await b.fill(1_000);
  const server = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address: server.address }] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 10) })).rejects.toThrow(Died);
  for (const { address } of b.servers) expect(await tell(address, `md ${FENCE}`)).toBe("HD");
  expect(await b.wrong()).toEqual([]);
  await b.admin.apply(change);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_000 });
});

test("server flushed: its keys are misses, no write to it is lost afterwards, and nothing comes back", async () => {
  const b = await bench();
  await b.fill(500);
  const [first] = b.servers;
  const gone = b.keysOn(first!.address);
  expect(await tell(first!.address, "flush_all")).toBe("OK");
  expect((await b.wrong()).sort()).toEqual(gone.sort());
  await b.fill(500);
  const server = await b.cluster.addMemcached();
  await b.admin.apply({ kind: "add-node", nodes: [{ address: server.address }] });
  await b.admin.apply({ kind: "remove-node", names: [first!.address] });
  expect(await b.wrong()).toEqual([]);
  expect(Number((await stats(first!.address)).get("curr_items"))).toBeLessThan(3); // the fence and the marker
});

test("source restarted empty in D: its keys are misses, the change ends", async () => {
  const b = await bench();
  await b.fill(1_000);
  const server = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address: server.address }] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 10) })).rejects.toThrow(Died);
  const [first] = b.servers;
  await first!.restart();
  await b.admin.apply(change);
  const wrong = await b.wrong();
  expect(wrong.length).toBeGreaterThan(0);
  expect([...(await b.client.getMulti(wrong)).keys()]).toEqual([]);
  await b.fill(1_000);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 1_000 });
});

test("fence lost while Redis is down: after one write of unknown effect none is sent to that server until it can be acknowledged", async () => {
  const b = await bench();
  const client = await b.open({ timeoutMs: 2_500 });
  await b.fill(100);
  const { address } = b.servers[0]!;
  const key = b.keysOn(address)[0]!;
  const write = async (value: string) => client.set(key, value).catch(({ code }: RingshiftError) => code);
  expect(await write("zero")).toBe(true);
  const { redis } = b.cluster;
  await redis.kill("SIGSTOP");
  onEnd(() => redis.kill("SIGCONT"));
  expect(await tell(address, `md ${FENCE}`)).toBe("HD");
  expect(await write("one")).toBe("AMBIGUOUS_WRITE");
  const after = await tell(address, `mg ${key} c`);
  expect(await Promise.all(["two", "three"].map(write))).not.toContain("AMBIGUOUS_WRITE");
  expect(await tell(address, `mg ${key} c`)).toBe(after);
  const held = client.set(key, "four");
  await redis.kill("SIGCONT");
  expect(await held).toBe(true);
  expect(await client.get(key)).toBe("four");
});

test("fence of a later epoch while Redis is down: an add sends that server no value", async () => {
  const b = await bench();
  const client = await b.open({ timeoutMs: 4_000 });
  await b.fill(20);
  const { redis } = b.cluster;
  await redis.kill("SIGSTOP");
  onEnd(() => redis.kill("SIGCONT"));
  const add = async (key: string) => client.add(key, "added");
  expect(await add("before")).toBe(true); // without Redis, under the document's own fence
  // as it stands on a server that has left the cluster, was emptied, and is joining again
  for (const { address } of b.servers) {
    expect(await tell(address, `ms ${FENCE} 19 T0\r\n99 0123456789abcdef`)).toBe("HD");
  }
  await new Promise((resolve) => setTimeout(resolve, GATE_MS));
  await expect(add("new")).rejects.toBeInstanceOf(RingshiftError); // by its code the effect may be unknown; nothing was sent
  for (const { address } of b.servers) expect(await tell(address, "mg new v")).toMatch(/^(EN|VA 0)$/); // its placeholder, or that is over
});
