/**
 * Which index sets Redis was asked for, as Redis' own MONITOR says. Over a socket of its own: ioredis takes a line that comes together with the `OK`
 * for the answer to a command, and fails.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
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

/** `+1795909843.669898 [0 127.0.0.1:59974] "sadd" "key" ...`: the command and its first word. */
const LINE = /^\+\S+ \[[^\]]*\] "([^"]*)"(?: "((?:[^"\\]|\\.)*)")?/;

/** Calls back for each command that Redis runs from now on. */
async function monitor(url: string, onCommand: (command: string, key: string) => void): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const lines = createInterface({ input: socket });
  const begun = once(lines, "line");
  lines.on("line", (line) => {
    const [, command, key = ""] = LINE.exec(line) ?? [];
    if (command !== undefined) onCommand(command.toLowerCase(), key);
  });
  socket.write("MONITOR\r\n");
  const [answer] = await begun;
  if (answer !== "+OK") throw new Error(`MONITOR was answered ${answer}`);
  return socket;
}

/** Watches Redis while `work` runs. Other clusters' keys are not counted. */
export async function watch<T>(cluster: TestCluster, work: () => Promise<T>): Promise<Watched<T>> {
  const { names } = cluster;
  const prefix = names.keysOf(0, 0).replace(/0$/, "");
  const beats = new Set([names.clients, names.acknowledged, names.lease]);
  const read = new Set<number>();
  const written = new Set<string>();
  let ended = () => {};
  const socket = await monitor(cluster.redisUrl, (name, key) => {
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
    socket.destroy();
  }
}
