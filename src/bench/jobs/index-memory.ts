/**
 * What the key index costs in Redis: as it is, and in the form that would halve it, on the same keys.
 *
 *   sets        one set a point; past 128 members (or one above 64 bytes) a hash table: about 60 bytes and the key
 *   listpacks   small hashes, which Redis keeps as one packed string each: one for every stretch of the hash range, as the top bits of the
 *               key's hash say, cut at the points. A long arc so has more of them than a short one, and none grows large
 */
import { Redis } from "ioredis";
import { keyHash, Ring } from "../../ring/index.ts";
import { redisWork } from "../measure/server-stats.ts";
import type { Measure } from "../measure/stats.ts";
import { fillCluster } from "./fill.ts";
import { keyOf } from "./workloads.ts";

export interface IndexTask {
  readonly job: "index";
  readonly servers: readonly string[];
  readonly redis: string;
  readonly keys: number;
  readonly form: "sets" | "listpacks";
}

/** Entries of one small hash on average, at most: well below Redis' bound for the packed form (hash-max-listpack-entries, 128 in 7.0). */
const STRETCH_ENTRIES = 80;
const BATCH = 1_000;

/** One operation is one key. */
export async function indexMemory(task: IndexTask): Promise<Measure> {
  const { redis, keys, form } = task;
  const before = await redisWork(redis);
  const cpu = process.cpuUsage();
  const seconds =
    form === "sets" ? (await fillCluster({ ...task, job: "fill", valueBytes: 1 })).seconds : await pack(task);
  const { user, system } = process.cpuUsage(cpu);
  const after = await redisWork(redis);
  return {
    opsPerSecond: keys / seconds,
    cpuMicrosPerOp: (user + system) / keys,
    p50Micros: null,
    p99Micros: null,
    redisBytesPerKey: (after.usedBytes - before.usedBytes) / keys,
    redisCallsPerOp: (after.calls - before.calls) / keys,
    redisCommandsPerOp: (after.commands - before.commands) / keys,
  };
}

/** Writes the prototype's form: a hash `point:stretch` with keys as fields. */
async function pack({ servers, redis: url, keys }: IndexTask): Promise<number> {
  const redis = new Redis(url);
  const ring = new Ring(servers.map((name) => ({ name })));
  const bits = Math.max(1, Math.ceil(Math.log2(keys / STRETCH_ENTRIES)));
  const began = performance.now();
  for (let from = 0; from < keys; from += BATCH) {
    const pipeline = redis.pipeline();
    for (let i = from; i < Math.min(keys, from + BATCH); i++) {
      const key = keyOf(i);
      const hash = keyHash(key);
      pipeline.hset(`ringshift:packed:${ring.pointAt(ring.locate(hash))}:${hash >>> (32 - bits)}`, key, "");
    }
    await pipeline.exec();
  }
  redis.disconnect();
  return (performance.now() - began) / 1000;
}
