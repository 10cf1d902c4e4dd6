/**
 * Every command on keys that are moving (phase D), and on keys that have just moved while placeholders may still be about (settling).
 * The copier is stopped before its first key, so each key is exactly in the state that the test has put it in.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { type Admin, type CasToken, type Change, type Client, createClient, openAdmin } from "../../src/index.ts";
import { classicSet, metaDelete, PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import { diffRings, keyHash } from "../../src/ring/index.ts";
import { audit, ringOfDocument } from "../support/audit.ts";
import { type TestCluster, until, useBench } from "../support/bench.ts";
import { holdSettling, stopInDual } from "../support/dual.ts";

const VALUE = 10;
const TTL = 5_000;
/** As a puller's placeholder that nobody takes away. */
const PLACEHOLDER_TTL = 5;

interface Case {
  readonly run: (client: Client, key: string, oldToken: CasToken) => Promise<unknown>;
  /** What the command answers, and what the key's value is afterwards, when it had a value and when it had none. */
  readonly present: readonly [answer: unknown, value: unknown];
  readonly absent: readonly [answer: unknown, value: unknown];
  /** Remaining TTL afterwards, of a value that was there; default: the old one's. */
  readonly ttl?: number;
}

const CASES: Readonly<Record<string, Case>> = {
  get: { run: (c, key) => c.get(key), present: [VALUE, VALUE], absent: [undefined, undefined] },
  gets: { run: async (c, key) => (await c.gets(key))?.value, present: [VALUE, VALUE], absent: [undefined, undefined] },
  getMulti: {
    run: async (c, key) => (await c.getMulti([key, `${key}:other`])).get(key),
    present: [VALUE, VALUE],
    absent: [undefined, undefined],
  },
  set: { run: (c, key) => c.set(key, "new", { ttl: 77 }), present: [true, "new"], absent: [true, "new"], ttl: 77 },
  setMulti: {
    run: (c, key) => c.setMulti({ [key]: "new" }, { ttl: 78 }),
    present: [true, "new"],
    absent: [true, "new"],
    ttl: 78,
  },
  add: { run: (c, key) => c.add(key, "new"), present: [false, VALUE], absent: [true, "new"] },
  replace: {
    run: (c, key) => c.replace(key, "new", { ttl: 79 }),
    present: [true, "new"],
    absent: [false, undefined],
    ttl: 79,
  },
  delete: { run: (c, key) => c.delete(key), present: [true, undefined], absent: [false, undefined] },
  deleteMulti: {
    run: async (c, key) => (await c.deleteMulti([key])).get(key),
    present: [true, undefined],
    absent: [false, undefined],
  },
  incr: { run: (c, key) => c.incr(key, 5), present: [15, 15], absent: [undefined, undefined] },
  decr: { run: (c, key) => c.decr(key, 3), present: [7, 7], absent: [undefined, undefined] },
  append: { run: (c, key) => c.append(key, "5"), present: [true, 105], absent: [false, undefined] },
  prepend: { run: (c, key) => c.prepend(key, "3"), present: [true, 310], absent: [false, undefined] },
  gat: { run: (c, key) => c.gat(key, 98), present: [VALUE, VALUE], absent: [undefined, undefined], ttl: 98 },
  touch: { run: (c, key) => c.touch(key, 99), present: [true, VALUE], absent: [false, undefined], ttl: 99 },
  "cas with a new token": {
    run: async (c, key) => {
      const found = await c.gets(key);
      return found !== undefined && c.cas(key, "new", found.cas, { ttl: 80 });
    },
    present: [true, "new"],
    absent: [false, undefined],
    ttl: 80,
  },
  "cas with a token from before the move": {
    run: (c, key, oldToken) => c.cas(key, "new", oldToken),
    present: [false, VALUE],
    absent: [false, undefined],
  },
  "several in a row": {
    run: (c, key) =>
      Promise.all([c.delete(key), c.add(key, 1), c.incr(key), c.get(key), c.replace(key, 5), c.decr(key, 2)]),
    present: [[true, true, 2, 2, true, 3], 3],
    absent: [[false, true, 2, 2, true, 3], 3],
    ttl: -1,
  },
};

/** Where the key is when the command comes; each says whether it has a value. */
const DUAL_STATES: Readonly<Record<string, boolean>> = {
  "at its old owner": true,
  nowhere: false,
  "moved by another client": true,
  "moved by this client": true,
  "moved by this client and deleted": false,
  "at its old owner, with somebody's placeholder at the new one": true,
  "nowhere, with somebody's placeholder at the new owner": false,
  "nowhere, with a placeholder at the old owner": false,
  "deleted, with somebody's placeholder at the new owner that this client thinks empty": false,
};
const SETTLING_STATES: Readonly<Record<string, boolean>> = {
  "at its new owner": true,
  "not there": false,
  "not there but for a placeholder": false,
};

const bench = useBench({ memcached: 4 });
let cluster: TestCluster;
let client: Client;
let other: Client;
let admin: Admin;
let change: Change;
let moving: Iterator<string>;
let source: (key: string) => string;
let target: string;
const tokens = new Map<string, CasToken>();
/** What every key has to be at the end. */
const finals = new Map<string, unknown>();

beforeAll(async () => {
  cluster = bench.cluster(3);
  [client, other] = [await createClient(cluster.where), await createClient(cluster.where)];
  admin = await openAdmin(cluster.where);
  target = bench.local.servers[3]!;
  change = { kind: "add-node", nodes: [{ address: target }] };
  const document = await admin.topology();
  const { nodes } = await admin.plan(change);
  const diff = diffRings(ringOfDocument(document), ringOfDocument({ ...document, nodes }));
  const keys = Array.from({ length: 1_500 }, (_, i) => `m:${i}`).filter(
    (key) => diff.find(keyHash(cluster.wire(key)))?.moves === true,
  );
  source = (key) => diff.find(keyHash(cluster.wire(key)))!.fromNode;
  moving = keys.values();
  await client.setMulti(
    keys.map((key) => [key, VALUE] as const),
    { ttl: TTL },
  );
  for (const key of keys) tokens.set(key, (await client.gets(key))!.cas);
  return async () => {
    await Promise.all([admin.close(), client.quit(), other.quit()]);
  };
});

const nextKey = () => {
  const { value, done } = moving.next();
  if (done) throw new Error("too few moving keys");
  return value;
};
const putPlaceholder = async (address: string, key: string) => {
  const put = classicSet(cluster.wire(key), PLACEHOLDER_FLAGS, PLACEHOLDER_TTL, Buffer.alloc(0));
  expect((await bench.ask(address, put)).status).toBe("STORED");
};
/** The placeholders this test has put at old owners, where no client of this migration looks again; they would expire by themselves. */
const leftAtSource: string[] = [];
const at = (address: string, key: string) => bench.item(address, cluster.wire(key));

/** Brings the key into the state, with the value there or not. */
async function arrange(state: string, key: string): Promise<void> {
  switch (state) {
    case "at its old owner":
      expect(await at(source(key), key)).toBeDefined();
      break;
    case "moved by another client":
      expect(await other.get(key)).toBe(VALUE);
      expect(await at(source(key), key)).toBeUndefined();
      break;
    case "moved by this client":
      expect(await client.get(key)).toBe(VALUE);
      break;
    case "moved by this client and deleted":
      expect(await client.get(key)).toBe(VALUE);
      await other.delete(key);
      break;
    case "at its old owner, with somebody's placeholder at the new one":
      await putPlaceholder(target, key);
      break;
    case "nowhere, with somebody's placeholder at the new owner":
      await other.delete(key);
      await putPlaceholder(target, key);
      break;
    case "nowhere, with a placeholder at the old owner":
      await other.delete(key);
      await putPlaceholder(source(key), key);
      leftAtSource.push(key);
      break;
    case "deleted, with somebody's placeholder at the new owner that this client thinks empty":
      expect(await client.delete(key)).toBe(true);
      await putPlaceholder(target, key);
      break;
    case "at its new owner":
      expect((await at(target, key))?.value?.toString()).toBe(String(VALUE));
      break;
    case "not there but for a placeholder":
      await other.delete(key);
      await putPlaceholder(target, key);
      break;
    default:
      await other.delete(key);
  }
}

async function check(name: string, state: string, present: boolean): Promise<void> {
  const { run, ttl = TTL, ...expected } = CASES[name]!;
  const key = nextKey();
  await arrange(state, key);
  const [answer, value] = present ? expected.present : expected.absent;
  expect(await run(client, key, tokens.get(key)!)).toStrictEqual(answer);
  expect(await other.get(key)).toStrictEqual(value);
  expect(await client.get(key)).toStrictEqual(value);
  const item = await at(target, key);
  if (value === undefined) expect(item).toBeUndefined();
  else if (present) {
    expect(item!.ttl).toBeLessThanOrEqual(ttl === -1 ? -1 : ttl + 1);
    expect(item!.ttl).toBeGreaterThanOrEqual(ttl === -1 ? -1 : ttl - 30);
  }
  finals.set(key, value);
}

const table = (states: Readonly<Record<string, boolean>>) =>
  Object.keys(CASES).flatMap((name) =>
    Object.entries(states).map(([state, present]) => [name, state, present] as const),
  );

describe("in D", () => {
  beforeAll(async () => {
    await stopInDual(admin, change);
    await until("the clients are in D", () => [client, other].every((one) => one.topology().phase === "D"));
  });

  test.each(table(DUAL_STATES))("%s of a key %s", check);

  test("the client says where a moving key comes from and goes to", () => {
    const key = nextKey();
    expect(client.locate(key)).toMatchObject({ node: target, movingFrom: source(key) });
  });

  test("nothing was ambiguous, and no value is at both owners", async () => {
    expect(client.metrics().ambiguousWrites + other.metrics().ambiguousWrites).toBe(0);
    expect(client.metrics().pulled).toBeGreaterThan(0);
    for (const key of finals.keys()) {
      const [old, present] = [await at(source(key), key), await at(target, key)];
      if (present !== undefined && old !== undefined) expect(old.flags).toBe(PLACEHOLDER_FLAGS);
    }
  });
});

describe("while settling", () => {
  let end: () => Promise<void>;
  let migration: Promise<unknown>;
  beforeAll(async () => {
    end = await holdSettling(cluster);
    const settling = new Promise<void>((resolve) => {
      migration = admin.apply(change, { onProgress: ({ step }) => step === "settling" && resolve() });
    });
    await settling;
    await until("the clients are in S", () => [client, other].every((one) => one.topology().phase === "S"));
    expect(JSON.parse((await cluster.documentText())!).settling).toBe(true);
  });

  test.each(table(SETTLING_STATES))("%s of a key that is %s", check);

  test("afterwards every key is what its last command left, and the cluster is sound", async () => {
    await end();
    await expect(migration).resolves.toMatchObject({ resumed: true });
    const found = await other.getMulti(finals.keys());
    for (const [key, value] of finals) expect(found.get(key)).toStrictEqual(value);
    for (const key of leftAtSource) await bench.ask(source(key), metaDelete(cluster.wire(key)));
    expect((await audit(cluster)).faults).toStrictEqual([]);
  });
});
