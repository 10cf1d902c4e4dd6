/** A Redis that answers, and refuses every write: its disk is full (MISCONF), its memory is (OOM), or it is a replica by now (READONLY). */
import { rmSync } from "node:fs";
import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import type { Change } from "../../src/migration/change.ts";
import { GATE_MS } from "../../src/protocol/session.ts";
import { type Bench, bench, Died, dieAt, onEnd, until } from "./support.ts";

interface Refusal {
  readonly error: string;
  readonly begin: (redis: Redis) => Promise<void>;
  readonly end: (redis: Redis) => Promise<unknown>;
}

const REFUSALS: readonly [string, Refusal][] = [
  [
    "full disk",
    {
      error: "MISCONF",
      begin: async (redis) => {
        const [, folder] = (await redis.config("GET", "dir")) as [string, string];
        rmSync(folder, { recursive: true }); // a snapshot has no place to go to, as on a full disk
        await redis.config("SET", "save", "3600 1000000");
        await redis.bgsave();
        await until(async () => (await redis.info("persistence")).includes("rdb_last_bgsave_status:err"));
      },
      end: (redis) => redis.config("SET", "stop-writes-on-bgsave-error", "no"),
    },
  ],
  [
    "full memory",
    {
      error: "OOM",
      begin: async (redis) => void (await redis.config("SET", "maxmemory", "1")),
      end: (redis) => redis.config("SET", "maxmemory", "0"),
    },
  ],
  [
    "a replica",
    {
      error: "READONLY",
      begin: async (redis) => void (await redis.replicaof("127.0.0.1", 1)),
      end: (redis) => redis.replicaof("NO", "ONE"),
    },
  ],
];

/** Refuses writes from now on. */
async function refusing(b: Bench, refusal: Refusal): Promise<() => Promise<unknown>> {
  const redis = new Redis(b.cluster.redis.url);
  onEnd(async () => redis.disconnect());
  await refusal.begin(redis);
  await expect(redis.set("any", 1)).rejects.toThrow(refusal.error);
  return () => refusal.end(redis);
}

async function joining(b: Bench): Promise<Change> {
  return { kind: "add-node", nodes: [{ address: (await b.cluster.addMemcached()).address }] };
}

describe.each(REFUSALS)("Redis refuses writes: %s", (_, refusal) => {
  test("reads and writes go on, and what was written meanwhile moves in the next migration", async () => {
    const b = await bench();
    await b.fill(300);
    const change = await joining(b);
    const end = await refusing(b, refusal);
    const endsAt = Date.now() + GATE_MS + 1_000;
    for (let round = 0; Date.now() < endsAt; round++) {
      await b.fill(30, `meanwhile-${round}`);
      await b.fill(30);
      expect(await b.wrong()).toEqual([]);
    }
    expect(b.client.metrics().ambiguousWrites).toBe(0);
    await expect(b.admin.apply(change)).rejects.toMatchObject({
      code: "REDIS_UNREACHABLE",
      message: expect.stringMatching(new RegExp(`refuses .*${refusal.error}`)),
    });
    await end();
    await b.admin.apply(change);
    expect(await b.wrong()).toEqual([]);
    expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size });
  });

  test("in D: keys that stay are written, what has moved is read, writes of moving keys have no effect, and the change is resumed", async () => {
    const b = await bench();
    await b.fill(600);
    const change = await joining(b);
    await expect(b.admin.apply(change, { onProgress: dieAt("copied", 30) })).rejects.toThrow(Died);
    const all = [...b.expected.keys()];
    const moved = all.filter((_, i) => i % 2 === 0);
    await b.client.getMulti(moved);
    const hasty = await b.open({ timeoutMs: 500 });
    const staying = moved.filter((key) => hasty.locate(key).movingFrom === undefined).slice(0, 50);
    const moving = moved.find((key) => hasty.locate(key).movingFrom !== undefined);
    const end = await refusing(b, refusal);
    const endsAt = Date.now() + GATE_MS + 1_000;
    for (let round = 0; Date.now() < endsAt; round++) {
      for (const key of staying) {
        b.expected.set(key, `round ${round}`);
        expect(await hasty.set(key, `round ${round}`)).toBe(true);
      }
      const told = { code: "TIMEOUT", message: expect.stringContaining("nothing was written") };
      await expect(hasty.set(moving!, `round ${round}`)).rejects.toMatchObject(told);
      expect(await hasty.getMulti(moved)).toEqual(new Map(moved.map((key) => [key, b.expected.get(key)])));
      const reads = await Promise.allSettled(all.map((key) => hasty.get(key)));
      for (const [i, read] of reads.entries()) {
        if (read.status === "fulfilled") expect(read.value).toBe(b.expected.get(all[i]!));
      }
    }
    await end();
    await until(() =>
      b.wrong(hasty).then(
        (wrong) => wrong.length === 0,
        () => false,
      ),
    );
    await b.admin.apply(change);
    expect(await b.wrong()).toEqual([]);
    expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size });
  });
});
