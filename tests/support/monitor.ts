/** Which index sets Redis was asked for, as Redis' own MONITOR says. */
import { Redis } from "ioredis";
import type { TestCluster } from "./bench.ts";

export interface Watched<T> {
  readonly result: T;
  /** Points whose sets were read. */
  readonly read: ReadonlySet<number>;
  /** Names of Redis keys that were written, but for what heartbeats and leases write. */
  readonly written: ReadonlySet<string>;
}

const READS = new Set(["sscan", "smembers", "scard"]);
const WRITES = new Set(["sadd", "srem", "set", "hset", "del", "unlink", "hdel", "hincrby"]);

/** Watches Redis while `work` runs. Other clusters' keys are not counted. */
export async function watch<T>(cluster: TestCluster, work: () => Promise<T>): Promise<Watched<T>> {
  const { names } = cluster;
  const prefix = names.keysOf(0, 0).replace(/0$/, "");
  const beats = new Set([names.clients, names.acknowledged, names.lease]);
  const read = new Set<number>();
  const written = new Set<string>();
  const redis = new Redis(cluster.redisUrl, { lazyConnect: true });
  const monitor = await redis.monitor();
  let ended = () => {};
  monitor.on("monitor", (_time: string, [command = "", key = ""]: string[]) => {
    const name = command.toLowerCase();
    if (name === "echo" && key === names.name) ended();
    else if (READS.has(name) && key.startsWith(prefix)) read.add(Number(key.slice(prefix.length)));
    else if (WRITES.has(name) && key.startsWith(`ringshift:${names.name}:`) && !beats.has(key)) written.add(key);
  });
  try {
    const result = await work();
    const over = new Promise<void>((resolve) => {
      ended = resolve;
    });
    await cluster.bench.redis.echo(names.name); // what came before it is in the stream before it
    await over;
    return { result, read, written };
  } finally {
    monitor.disconnect();
    redis.disconnect();
  }
}
