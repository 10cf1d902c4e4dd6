/**
 * `npm run bench:gateway`: GET on the data port against a bare Hono "hello" on the same machine, in one run.
 *
 *   load (autocannon, 64 connections) ─┬─► hello                                    one after the other, in pairs: what else the machine
 *                                      └─► ringshift serve ──► 3 memcached          does hits both; the median of the pairs counts
 *
 * Options: --pairs N (default 7), --seconds N of each measurement (4), --connections N (64), --bytes N of a value (100), --json.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createClient } from "../client/create.ts";
import { LocalCluster } from "../testing/index.ts";
import type { LoadOrder, LoadResult } from "./load.ts";

const KEYS = 1_000;
/** Gateway to hello, GET: what the project holds itself to. */
const TARGET = 0.6;

interface Measurement extends LoadResult {
  /** Of the server's process: what a busy machine disturbs least. */
  readonly cpuMicrosPerRequest: number;
}

interface Pair {
  readonly hello: Measurement;
  readonly gateway: Measurement;
  readonly ratio: number;
}

interface Server {
  readonly url: string;
  /** That its process has used so far. */
  cpuSeconds(): Promise<number>;
}

const children: ChildProcess[] = [];
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** @throws Error when the process ends without one */
async function firstMessage<T>(child: ChildProcess): Promise<T> {
  const listening = new AbortController();
  const { signal } = listening;
  const ended = once(child, "exit", { signal }).then(([code]) => {
    throw new Error(`A process of the benchmark ended with ${code}.`);
  });
  ended.catch(() => {}); // it is not listened for any more
  try {
    const [message] = (await Promise.race([once(child, "message", { signal }), ended])) as [T];
    return message;
  } finally {
    listening.abort();
  }
}

async function hello(): Promise<Server> {
  const child = fork(file("./hello.js"));
  children.push(child);
  const { port } = await firstMessage<{ port: number }>(child);
  const cpuSeconds = async () => {
    child.send("cpu");
    return (await firstMessage<{ cpuSeconds: number }>(child)).cpuSeconds;
  };
  return { url: `http://127.0.0.1:${port}`, cpuSeconds };
}

async function gateway(redis: string): Promise<Server> {
  const flags = ["--redis", redis, "--data-port", "0", "--admin-port", "0", "--set", "log.level=warn"];
  const child = spawn(process.execPath, [file("../cli/main.js"), "serve", ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.push(child);
  for await (const line of createInterface({ input: child.stderr })) {
    const [, url, admin] = /^\[OK\] Data (\S+), admin (\S+)$/.exec(line) ?? [];
    if (url !== undefined) return { url, cpuSeconds: () => cpuMetric(`${admin}/metrics`) };
  }
  throw new Error("The gateway ended before it served.");
}

async function cpuMetric(url: string): Promise<number> {
  const text = await (await fetch(url)).text();
  return Number(/^process_cpu_seconds_total ([\d.e+-]+)/m.exec(text)?.[1]);
}

async function load(order: LoadOrder): Promise<LoadResult> {
  const child = fork(file("./load.js"));
  child.send(order);
  return firstMessage<LoadResult>(child);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function print(pairs: readonly Pair[]): void {
  const cell = (value: number, digits = 0) => value.toFixed(digits).padStart(9);
  const of = (one: Measurement) =>
    `${cell(one.requestsPerSecond)}${cell(one.p50)}${cell(one.p99)}${cell(one.cpuMicrosPerRequest, 1)}`;
  const line = (name: string, { hello, gateway, ratio }: Pair) =>
    process.stdout.write(`${name.padEnd(8)}${of(hello)} ${of(gateway)}${cell(ratio, 2)}\n`);
  process.stdout.write("         hello/s   p50 ms   p99 ms   CPU us gateway/s   p50 ms   p99 ms   CPU us    ratio\n");
  for (const [i, pair] of pairs.entries()) line(`pair ${i + 1}`, pair);
  const names = ["requestsPerSecond", "p50", "p99", "cpuMicrosPerRequest"] as const;
  const middle = (side: "hello" | "gateway") =>
    Object.fromEntries(
      names.map((name) => [name, median(pairs.map((pair) => pair[side][name]))]),
    ) as unknown as Measurement;
  const ratio = median(pairs.map((pair) => pair.ratio));
  line("median", { hello: middle("hello"), gateway: middle("gateway"), ratio });
  const failed = pairs.reduce((sum, pair) => sum + pair.hello.failed + pair.gateway.failed, 0);
  process.stdout.write(`${failed} requests failed. The gateway is held to ${TARGET} of the bare server.\n`);
  if (failed > 0 || ratio < TARGET) process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pairs: { type: "string", default: "7" },
      seconds: { type: "string", default: "4" },
      connections: { type: "string", default: "64" },
      bytes: { type: "string", default: "100" },
      json: { type: "boolean", default: false },
    },
  });
  const [pairCount, seconds, connections, bytes] = [values.pairs, values.seconds, values.connections, values.bytes].map(
    Number,
  ) as [number, number, number, number];
  if (![pairCount, seconds, connections, bytes].every((value) => Number.isInteger(value) && value > 0)) {
    throw new Error("--pairs, --seconds, --connections and --bytes are whole numbers above 0.");
  }
  const cluster = await LocalCluster.start();
  try {
    const cache = await createClient({ redis: cluster.redis.url, servers: cluster.servers });
    const keys = Array.from({ length: KEYS }, (_, i) => `key${i}`);
    await cache.setMulti(keys.map((key): [string, string] => [key, "x".repeat(bytes)]));
    await cache.quit();
    const servers = { hello: await hello(), gateway: await gateway(cluster.redis.url) };
    const paths = keys.map((key) => `/${key}`);
    const measure = async (name: keyof typeof servers, time: number): Promise<Measurement> => {
      const server = servers[name];
      const before = await server.cpuSeconds();
      const result = await load({ url: server.url, paths, connections, seconds: time });
      const used = (await server.cpuSeconds()) - before;
      return { ...result, cpuMicrosPerRequest: (used * 1e6) / result.requests };
    };
    for (const name of ["hello", "gateway"] as const) await measure(name, Math.min(seconds, 3)); // until the code is compiled
    const pairs: Pair[] = [];
    for (let i = 0; i < pairCount; i++) {
      const order = i % 2 === 0 ? (["hello", "gateway"] as const) : (["gateway", "hello"] as const);
      const result = { [order[0]]: await measure(order[0], seconds), [order[1]]: await measure(order[1], seconds) };
      const pair = result as unknown as Pick<Pair, "hello" | "gateway">;
      pairs.push({ ...pair, ratio: pair.gateway.requestsPerSecond / pair.hello.requestsPerSecond });
    }
    if (values.json) process.stdout.write(`${JSON.stringify(pairs, null, 2)}\n`);
    else print(pairs);
  } finally {
    for (const child of children) child.kill("SIGTERM");
    await cluster.stop();
  }
}

await main();
