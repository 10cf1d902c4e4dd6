/** The Redis store: each Lua script alone, on a real Redis. */
import { describe, expect, test } from "vitest";
import { randomId, successor, type TopologyDocument } from "../../src/topology/document.ts";
import { Lease } from "../../src/topology/lease.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";
import { REGISTRATION_MS } from "../../src/topology/store.ts";
import { freePort } from "../memcached/support.ts";
import { codeOf, until, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 0 });
/** Every test's own names in Redis. */
const open = (namespace = `s${randomId()}`) => bench.own(new RedisStore(bench.local.redis.url, namespaceOf(namespace)));

function newDocument(runId: string, changes: Partial<TopologyDocument> = {}): TopologyDocument {
  return {
    version: 1,
    id: randomId(),
    epoch: 0,
    phase: "S",
    ring: { compat: "ringshift", hashTags: false },
    nodes: [{ index: 0, name: "a", address: "127.0.0.1:1" }],
    previousNodes: null,
    fences: { a: 0 },
    settling: false,
    generation: 0,
    migrations: 0,
    nextIndex: 1,
    runId,
    untrusted: [],
    operation: null,
    ...changes,
  };
}

describe("publish", () => {
  test("is a compare-and-set on the document's id", async () => {
    const store = open();
    const { document: none, runId } = await store.read();
    expect(none).toBeNull();
    const first = newDocument(runId);
    expect(await store.publish("something", first)).toBe("changed");
    expect(await store.publish(null, first, runId)).toBe("published");
    expect((await store.read()).document).toStrictEqual(first);
    expect(await store.publish(null, newDocument(runId))).toBe("changed");
    const [second, rival] = [successor(first, runId, {}), successor(first, runId, {})];
    expect(await store.publish(first.id, second)).toBe("published");
    expect(await store.publish(first.id, rival)).toBe("changed");
    expect((await store.read()).document).toStrictEqual(second);
  });

  test("by many at once has one winner", async () => {
    const stores = Array.from({ length: 10 }, () => open("race"));
    const { runId } = await stores[0]!.read();
    const documents = stores.map(() => newDocument(runId));
    const outcomes = await Promise.all(stores.map((store, i) => store.publish(null, documents[i]!, runId)));
    const winners = documents.filter((_, i) => outcomes[i] === "published");
    expect(winners.length).toBe(1);
    expect((await stores[0]!.read()).document).toStrictEqual(winners[0]);
  });

  test("that is sent again, since the answer was lost, counts as published", async () => {
    const store = open();
    const { runId } = await store.read();
    const document = newDocument(runId);
    expect(await store.publish(null, document)).toBe("published");
    expect(await store.publish(null, document)).toBe("published");
  });

  test("requires Redis' own run id, which a restart changes", async () => {
    const store = open();
    const { runId } = await store.read();
    const document = newDocument(runId);
    expect(await store.publish(null, document, "0".repeat(40))).toBe("failover");
    expect((await store.read()).document).toBeNull();
    expect(await store.publish(null, document, runId)).toBe("published");
    await bench.local.redis.restart();
    await until("Redis answers", () =>
      store.read().then(
        () => true,
        () => false,
      ),
    );
    const after = await store.read();
    expect(after.document).toBeNull(); // this Redis keeps nothing
    expect(after.runId).not.toBe(runId);
    expect(await store.publish(null, document, runId)).toBe("failover");
    expect(await store.publish(null, document)).toBe("published"); // as one is put back
  });

  test("is announced", async () => {
    const [store, listener] = [open("announce"), open("announce")];
    let heard = 0;
    await listener.subscribe(() => heard++);
    const before = heard;
    await store.publish(null, newDocument((await store.read()).runId));
    await until("the announcement", () => heard > before);
  });

  test("a document of a newer ringshift is refused when it is read", async () => {
    const store = open();
    await store.publish(null, newDocument((await store.read()).runId, { version: 2 }));
    expect(await codeOf(store.read())).toBe("UNSUPPORTED_DOCUMENT");
  });
});

describe("record", () => {
  const members = async (store: RedisStore, point: number) => {
    const keys: string[] = [];
    for await (const page of store.entries(7, point)) keys.push(...page);
    return keys.sort();
  };

  test("adds to the sets of the points and answers the document's id", async () => {
    const store = open();
    expect(await store.record(7, [{ point: 1, keys: ["a"] }])).toBeNull();
    const document = newDocument((await store.read()).runId);
    await store.publish(null, document);
    const id = await store.record(7, [
      { point: 1, keys: ["b", "a"] },
      { point: 4_294_967_295, keys: ["c"] },
      { point: 0, keys: ["d"] },
    ]);
    expect(id).toBe(document.id);
    expect(await members(store, 1)).toStrictEqual(["a", "b"]);
    expect(await members(store, 4_294_967_295)).toStrictEqual(["c"]);
    expect(await members(store, 2)).toStrictEqual([]);
    expect(await store.counts(7, [1, 2, 0, 4_294_967_295])).toStrictEqual([2, 0, 1, 1]);
    expect(await store.counts(8, [1])).toStrictEqual([0]);
  });

  test("keeps the bytes of a key", async () => {
    const store = open();
    const wire = Buffer.from("é茨🦁\u00ff", "utf8").toString("latin1");
    const bytes = String.fromCharCode(...Array.from({ length: 255 }, (_, i) => i + 1));
    await store.record(7, [{ point: 1, keys: [wire, bytes] }]);
    expect(await members(store, 1)).toStrictEqual([wire, bytes].sort());
  });

  test("takes more keys than one script call does", async () => {
    const store = open();
    const keys = Array.from({ length: 25_000 }, (_, i) => `k:${i}`);
    await store.record(7, [
      { point: 1, keys: keys.slice(0, 12_345) },
      { point: 2, keys: keys.slice(12_345) },
    ]);
    expect(await store.counts(7, [1, 2])).toStrictEqual([12_345, 12_655]);
    expect((await members(store, 1)).length).toBeGreaterThanOrEqual(12_345);
  });

  test("removeEntries removes while the document is the one meant, and nothing otherwise", async () => {
    const store = open();
    const { runId } = await store.read();
    const first = newDocument(runId);
    await store.publish(null, first);
    await store.record(7, [{ point: 1, keys: ["a", "b", "c"] }]);
    expect(await store.removeEntries(first.id, 7, [{ point: 1, keys: ["a", "missing"] }])).toBe(true);
    expect(await members(store, 1)).toStrictEqual(["b", "c"]);
    await store.publish(first.id, successor(first, runId, {}));
    expect(await store.removeEntries(first.id, 7, [{ point: 1, keys: ["b"] }])).toBe(false);
    expect(await members(store, 1)).toStrictEqual(["b", "c"]);
  });
});

describe("heartbeats", () => {
  const beat = (store: RedisStore, clientId: string, acknowledged: number, knownId: string | null = null) =>
    store.heartbeat({ clientId, acknowledged }, knownId);

  test("register a client with the epoch it acknowledges, until it unregisters", async () => {
    const store = open();
    await beat(store, "one", 3);
    await beat(store, "two", 5);
    expect(await store.unacknowledged(3)).toStrictEqual([]);
    expect(await store.unacknowledged(4)).toStrictEqual(["one"]);
    expect((await store.unacknowledged(6)).sort()).toStrictEqual(["one", "two"]);
    await beat(store, "one", 6);
    expect(await store.unacknowledged(6)).toStrictEqual(["two"]);
    await store.unregister("two");
    expect(await store.unacknowledged(100)).toStrictEqual(["one"]);
  });

  test("bring the document to those who do not know it", async () => {
    const store = open();
    const { runId } = await store.read();
    expect(await beat(store, "one", 0)).toStrictEqual({ document: null, runId });
    const document = newDocument(runId);
    await store.publish(null, document);
    expect(await beat(store, "one", 0)).toStrictEqual({ document, runId });
    expect(await beat(store, "one", 0, document.id)).toStrictEqual({ document: undefined, runId });
  });

  test("end by themselves: a killed client holds nobody up for longer than its registration", async () => {
    const store = open();
    await beat(store, "killed", 0);
    await until("the registration ends", async () => (await store.unacknowledged(9)).length === 0, 4 * REGISTRATION_MS);
    await beat(store, "alive", 9);
    expect(await store.unacknowledged(9)).toStrictEqual([]);
    const names = await bench.redis.keys("*:acknowledged");
    const left = await Promise.all(names.map((name) => bench.redis.hget(name, "killed")));
    expect(left.filter((epoch) => epoch !== null)).toStrictEqual([]); // and leaves nothing behind
  });
});

describe("the lease", () => {
  test("is one holder's, until it is given back", async () => {
    const store = open();
    expect(await store.lease("me", 5_000)).toBe("me");
    expect(await store.lease("you", 5_000)).toBe("me");
    expect(await store.lease("me", 5_000)).toBe("me");
    await store.releaseLease("you");
    expect(await store.leaseHolder()).toBe("me");
    await store.releaseLease("me");
    expect(await store.leaseHolder()).toBeNull();
    expect(await store.lease("you", 50)).toBe("you");
    await until("it runs out", async () => (await store.leaseHolder()) === null);
  });

  test("passes at once from a process of this machine that is gone", async () => {
    const store = open();
    const { hostname } = await import("node:os");
    const gone = `${hostname()} 4194999 0123456789abcdef`; // above the largest pid there is
    await store.lease(gone, 3_600_000);
    const lease = await Lease.take(store, () => expect.unreachable("it waited"));
    expect(await store.leaseHolder()).not.toBe(gone);
    await lease.release();
    expect(await store.leaseHolder()).toBeNull();
  });
});

test("a Redis that is not there is REDIS_UNREACHABLE, and its password is not in the message", async () => {
  const url = `redis://user:s3cret@127.0.0.1:${await freePort()}`;
  const store = bench.own(new RedisStore(url, namespaceOf("nobody")));
  const error: Error = await store.read().then(
    () => expect.unreachable("it answered"),
    (reason: Error) => reason,
  );
  expect(error).toMatchObject({ code: "REDIS_UNREACHABLE" });
  expect(error.message).not.toContain("s3cret");
});
