/** Rows of the failure table about Redis: down for a while, restarted empty, failed over to one that knows less than the fences. */
import { expect, test } from "vitest";
import { metaDelete } from "../../src/memcached/commands.ts";
import type { Change } from "../../src/migration/change.ts";
import { GATE_MS, type Session } from "../../src/protocol/session.ts";
import type { NodeRecord, TopologyDocument } from "../../src/topology/document.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";
import { type Bench, bench, Died, dieAt, onEnd, until } from "./support.ts";

async function adding(b: Bench): Promise<Change> {
  return { kind: "add-node", nodes: [{ address: (await b.cluster.addMemcached()).address }] };
}

test("Redis down for some seconds: reads and writes go on, what was written meanwhile moves in the next migration", async () => {
  const b = await bench();
  await b.fill(300);
  const { redis } = b.cluster;
  await redis.kill("SIGSTOP");
  onEnd(() => redis.kill("SIGCONT"));
  await b.fill(300, "meanwhile"); // not one of them can be recorded
  await b.fill(300);
  for (let round = 0; round < 30; round++) {
    expect(await b.wrong()).toEqual([]);
    await b.fill(20, `round ${round}`.replace(" ", "-"));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(b.client.metrics().ambiguousWrites).toBe(0);
  await redis.kill("SIGCONT");

  await b.admin.apply(await adding(b));
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size });
  await b.admin.apply({ kind: "remove-node", names: [b.servers[0]!.address] });
  expect(await b.wrong()).toEqual([]);
});

test("Redis stopped in D: a write that waits for it when its time is up was not sent, and says so", async () => {
  const b = await bench();
  await b.fill(300);
  await expect(b.admin.apply(await adding(b), { onProgress: dieAt("copied", 30) })).rejects.toThrow(Died);
  const hasty = await b.open({ timeoutMs: 300 });
  const moving = [...b.expected.keys()].filter((key) => hasty.locate(key).movingFrom !== undefined).slice(0, 20);
  const { redis } = b.cluster;
  await redis.kill("SIGSTOP");
  onEnd(() => redis.kill("SIGCONT"));
  const told = { code: "TIMEOUT", message: expect.stringContaining("nothing was written") };
  for (const key of moving) await expect(hasty.set(key, "not written")).rejects.toMatchObject(told);
  await redis.kill("SIGCONT");
  await until(() =>
    b.wrong(hasty).then(
      (wrong) => wrong.length === 0,
      () => false,
    ),
  );
});

test("whenIndexDown: reject: a write that cannot be indexed is refused, reads and other writes go on", async () => {
  const b = await bench();
  await b.fill(100);
  const strict = await b.open({ whenIndexDown: "reject" });
  await strict.set("key:0", b.expected.get("key:0"));
  const { redis } = b.cluster;
  await redis.kill("SIGSTOP");
  onEnd(() => redis.kill("SIGCONT"));
  await expect(strict.set("new", 1)).rejects.toMatchObject({ code: "REDIS_UNREACHABLE", key: "new" });
  expect(await strict.set("key:0", b.expected.get("key:0"))).toBe(true);
  expect(await b.wrong(strict)).toEqual([]);
  expect(await strict.get("new")).toBeUndefined();
  await redis.kill("SIGCONT");
  await until(() => strict.set("new", 1).catch(() => false));
});

test("Redis restarted empty: the topology is put back and confirmed, and all keys move in the next migration", async () => {
  const b = await bench();
  await b.fill(500);
  await b.cluster.redis.restart();
  const change = await adding(b);
  await until(() => b.wrong().then((wrong) => wrong.length === 0));
  await b.fill(100, "after");
  await b.admin.apply(change);
  expect(await b.wrong()).toEqual([]);
  const { untrusted } = await b.admin.topology();
  for (const name of untrusted) await b.admin.reindex(name);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 600, entries: 600, incomplete: [] });
});

test("Redis restarted while a server is dead: the topology is confirmed all the same", async () => {
  const b = await bench();
  await b.fill(300);
  const dead = b.servers[0]!;
  const lost = b.keysOn(dead.address);
  await dead.kill();
  await b.cluster.redis.restart();
  await b.admin.apply({ kind: "remove-node", names: [dead.address], dead: true });
  expect((await b.wrong()).sort()).toEqual(lost.sort());
  expect((await b.admin.topology()).untrusted).not.toContain(dead.address);
});

test("Redis fail-over behind the fences: nothing stale is read, and migration confirm decides", async () => {
  const b = await bench({ redis: { appendOnly: true } });
  await b.fill(400);
  const raw = new RedisStore(b.cluster.redis.url, namespaceOf(undefined));
  onEnd(() => raw.close());
  const former = (await raw.read()).document!;
  const leaving = b.servers[0]!;
  await b.admin.apply({ kind: "remove-node", names: [leaving.address] });
  const moved = (await raw.read()).document!;
  await b.fill(400); // new values on the new owners
  await b.admin.close();
  await b.client.quit(); // whoever held the newer document is gone

  // the Redis that took over never got it
  expect(await raw.publish(moved.id, { ...former, runId: "0".repeat(40) })).toBe("published");
  const client = await b.open({ timeoutMs: 500 });
  const reads = await Promise.allSettled([...b.expected.keys()].map((key) => client.get<string>(key)));
  for (const read of reads) expect(read.status).toBe("rejected"); // every fence is newer than this Redis
  await expect(client.set("key:0", "x")).rejects.toThrow();

  const operator = await b.operator();
  const report = await operator.confirm();
  expect(report.emptied.map(({ node }) => node).sort()).toEqual(b.servers.map(({ address }) => address).sort());
  const fresh = await b.open();
  expect((await fresh.getMulti(b.expected.keys())).size).toBe(0); // counts as eviction: misses, nothing old
  expect(await fresh.set("key:0", "new")).toBe(true);
  expect(await client.get("key:0")).toBe("new");
  expect((await operator.topology()).epoch).toBeGreaterThan(moved.epoch);
  await expect(operator.confirm()).rejects.toMatchObject({ code: "INVALID_OPTION" });
});

test("a server that alone knows more than Redis: only its keys go", async () => {
  const b = await bench({ memcached: 4, redis: { appendOnly: true } });
  await b.fill(400);
  const raw = new RedisStore(b.cluster.redis.url, namespaceOf(undefined));
  onEnd(() => raw.close());
  const document = (await raw.read()).document!;
  const [first] = b.servers;
  const onFirst = b.keysOn(first!.address);
  const { session } = await b.session();
  const node = document.nodes.find(({ name }) => name === first!.address)!;
  const found = await session.transport.exchange(node, []);
  await session.transport.exchange(node, [
    { line: `set ${session.namespace.fenceKey} 0 0 18`, data: Buffer.from(`9 ${found.fence!.incarnation}`) },
  ]);
  const impatient = await b.open({ timeoutMs: 200 });
  await expect(impatient.get(onFirst[0]!)).rejects.toThrow();
  expect(await b.admin.confirm()).toMatchObject({
    epoch: 1_009,
    emptied: [{ node: first!.address, keys: onFirst.length }],
  });
  await until(() => b.client.topology().epoch >= 1_009);
  expect((await b.wrong()).sort()).toEqual(onFirst.sort());
});

test("an F that was confirmed after a fail-over of Redis cannot be taken back, only forward", async () => {
  const b = await bench({ redis: { appendOnly: true } });
  await b.fill(300);
  await expect(b.admin.apply(await adding(b), { onProgress: dieAt("fencing") })).rejects.toThrow(Died);
  const raw = new RedisStore(b.cluster.redis.url, namespaceOf(undefined));
  onEnd(() => raw.close());
  const { document } = await raw.read();
  expect(document!.phase).toBe("F");
  expect(await raw.publish(document!.id, { ...document!, id: "f".repeat(16), recovered: true })).toBe("published");
  expect(await b.admin.abort()).toMatchObject({ outcome: "reversed" }); // through D
  expect(await b.wrong()).toEqual([]);
  expect((await b.admin.topology()).nodes).toHaveLength(3);
});

test("an F that is taken back leaves new numbers behind: a D that it came to after all would show others", async () => {
  const b = await bench({ redis: { appendOnly: true } });
  await b.fill(300);
  const before = await b.admin.topology();
  await expect(b.admin.apply(await adding(b), { onProgress: dieAt("fencing") })).rejects.toThrow(Died);
  const f = await b.admin.topology();
  expect(f.phase).toBe("F");
  expect(await b.admin.abort()).toMatchObject({ outcome: "taken-back" });
  const back = await b.admin.topology();
  const { session } = await b.session();
  for (const node of back.nodes) {
    expect(f.fences[node.name]).toBeGreaterThan(before.fences[node.name]!);
    expect(back.fences[node.name]).toBeGreaterThan(f.fences[node.name]!);
    expect((await session.transport.exchange(node, [])).fence?.number).toBe(back.fences[node.name]);
  }
  expect(await b.wrong()).toEqual([]);
});

test("a server that has no fence when Redis comes back as another one: its keys go, and no others", async () => {
  const b = await bench({ memcached: 3, redis: { appendOnly: true } });
  await b.fill(400);
  const [first] = b.servers;
  const onFirst = b.keysOn(first!.address);
  const { session } = await b.session();
  const { nodes } = await b.admin.topology();
  const node = nodes.find(({ name }) => name === first!.address)!;
  const [deleted] = (await session.transport.exchange(node, [metaDelete(session.namespace.fenceKey)])).replies;
  expect(deleted!.status).toBe("HD");
  await b.cluster.redis.restart(); // what it has not forgotten, nobody can be sure of
  await until(() =>
    b.admin
      .topology()
      .then(({ recovered }) => recovered === true)
      .catch(() => false),
  );
  expect((await b.wrong()).sort()).toEqual(onFirst.sort());
});

/** In D, with nothing copied yet; the document before D, and D. */
async function inDual(b: Bench) {
  const before = await b.admin.topology();
  await expect(b.admin.apply(await adding(b), { onProgress: dieAt("copying") })).rejects.toThrow(Died);
  const { session } = await b.session();
  await until(() => b.client.topology().phase === "D");
  return { before, d: session.view.document, session };
}

async function loseFence(session: Session, node: NodeRecord): Promise<void> {
  const [deleted] = (await session.transport.exchange(node, [metaDelete(session.namespace.fenceKey)])).replies;
  expect(deleted!.status).toBe("HD");
}

test("a D that Redis forgot is void once the document before it is confirmed: who still holds it goes by that one", async () => {
  const b = await bench({ redis: { appendOnly: true } });
  await b.fill(300);
  const { before, d, session } = await inDual(b);
  for (const node of d.previousNodes!) await loseFence(session, node);
  await b.cluster.redis.restart();
  const raw = new RedisStore(b.cluster.redis.url, namespaceOf(undefined));
  onEnd(() => raw.close());
  const { runId, document } = await raw.read();
  expect(document!.id).toBe(d.id);
  // as clients that have never heard of D, and find no fence that shows it, would have confirmed it
  const untrusted = before.nodes.map(({ name }) => name);
  const confirmed = { ...(before as TopologyDocument), id: "c".repeat(16), runId, untrusted, recovered: true };
  expect(await raw.publish(d.id, confirmed)).toBe("published");

  await until(() => b.client.topology().epoch === before.epoch && session.view.document.id === confirmed.id);
  expect((await raw.read()).document!.id).toBe(confirmed.id);
  expect(await b.wrong()).toEqual([]);
  await b.admin.apply(await adding(b));
  expect(await b.wrong()).toEqual([]);
});

test("in D, without Redis, a server that joins is believed while the key's old owner shows D too", async () => {
  const b = await bench();
  await b.fill(300);
  const { d, session } = await inDual(b);
  const client = await b.open({ timeoutMs: 1_000 });
  const moving = (from: NodeRecord) =>
    [...b.expected.keys()].filter((key) => client.locate(key).movingFrom === from.name).slice(0, 5);
  const [lost, stands] = d.previousNodes!;
  expect(await b.wrong(client)).toEqual([]); // and all that moves is at its new owner
  const { redis } = b.cluster;
  await redis.kill("SIGSTOP");
  onEnd(() => redis.kill("SIGCONT"));
  await new Promise((resolve) => setTimeout(resolve, GATE_MS + 500));
  for (const key of moving(lost!)) expect(await client.set(key, b.expected.get(key))).toBe(true);
  await loseFence(session, lost!);

  const reads = await Promise.allSettled(moving(lost!).map((key) => client.get(key)));
  expect(reads.map(({ status }) => status)).toEqual(reads.map(() => "rejected"));
  for (const key of moving(stands!)) expect(await client.get(key)).toEqual(b.expected.get(key));
  await redis.kill("SIGCONT");
  await until(() => b.wrong().then((wrong) => wrong.length === 0));
});

test("without Redis the write of a key that is known to be listed marks its server too: it may be of an old epoch", async () => {
  const b = await bench({ memcached: 1 });
  await b.fill(10);
  const { session } = await b.session();
  const unindexed = async () =>
    (await session.transport.exchange(session.view.document.nodes[0]!, [])).fence!.unindexed;
  expect(await b.client.set("key:0", b.expected.get("key:0"))).toBe(true);
  expect(await unindexed()).toBe(false);
  const { redis } = b.cluster;
  await redis.kill("SIGSTOP");
  onEnd(() => redis.kill("SIGCONT"));
  await new Promise((resolve) => setTimeout(resolve, GATE_MS + 500));
  expect(await b.client.set("key:0", b.expected.get("key:0"))).toBe(true);
  expect(await unindexed()).toBe(true);
  await redis.kill("SIGCONT");
  await until(() => b.client.set("new", 1).catch(() => false));
});
