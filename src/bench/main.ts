/**
 * `npm run bench`: ringshift and its peers in turns against the same servers, in one run. Machines differ and are noisy, so what counts
 * are the ratios, taken round by round; results go to bench/results.json and a table to stdout.
 *
 *   round 1: ringshift, memjs+hashring, memcached ...   round 2: ...     each turn a process of its own
 *
 * With two cores or more the clients run on one and the servers on the others (taskset).
 */
import { execFileSync, fork } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ensureBinaries, LocalCluster } from "../testing/index.ts";
import { type BenchTarget, CLIENT_NAMES, type ClientName } from "./clients.ts";
import { type Measure, WORKLOADS, type WorkerTask } from "./worker.ts";

type Round = Record<ClientName, Record<string, Measure>>;

const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));
const RESULTS = "bench/results.json";
const CLIENT_CORE = "0";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, seconds: { type: "string", default: "1" } },
});

await ensureBinaries();
const cluster = await LocalCluster.start({ memcached: 3, redis: true });
try {
  if (cpus().length > 1)
    for (const server of [...cluster.memcached, cluster.redis!]) pin(server.pid, `1-${cpus().length - 1}`);
  const target = { servers: cluster.memcached.map((server) => server.address), redis: cluster.redis!.url };
  const rounds: Round[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    const results = {} as Round;
    for (const client of CLIENT_NAMES) {
      process.stderr.write(`round ${round + 1} of ${options.rounds}: ${client}\n`);
      results[client] = await turn({ client, target, round, seconds: Number(options.seconds) });
    }
    rounds.push(results);
  }
  report(rounds);
} finally {
  await cluster.stop();
}

function turn(task: WorkerTask & { target: BenchTarget }): Promise<Record<string, Measure>> {
  return new Promise((resolve, reject) => {
    const child = fork(WORKER, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    if (child.pid !== undefined && cpus().length > 1) pin(child.pid, CLIENT_CORE);
    let results: Record<string, Measure> | undefined;
    child.on("message", (message) => {
      results = message as Record<string, Measure>;
    });
    child.on("exit", (code) => {
      if (results !== undefined) resolve(results);
      else reject(new Error(`the turn of ${task.client} ended with code ${code}`));
    });
    child.send(task);
  });
}

/** Where taskset is missing the scheduler places the processes; the ratios are then noisier. */
function pin(pid: number, cores: string): void {
  try {
    execFileSync("taskset", ["-a", "-c", "-p", cores, String(pid)], { stdio: "ignore" });
  } catch {
    process.stderr.write("taskset is not available: processes are not pinned\n");
  }
}

function report(rounds: readonly Round[]): void {
  const workloads: Record<string, Record<string, Measure>> = {};
  const ratios: Record<string, { median: number; min: number; max: number }> = {};
  for (const { name } of WORKLOADS) {
    workloads[name] = {};
    for (const client of CLIENT_NAMES)
      workloads[name][client] = medianMeasure(rounds.map((round) => round[client][name]!));
    for (const client of CLIENT_NAMES.slice(1)) {
      const list = rounds.map((round) => round.ringshift[name]!.opsPerSecond / round[client][name]!.opsPerSecond);
      ratios[`${name} vs ${client}`] = { median: median(list), min: Math.min(...list), max: Math.max(...list) };
    }
  }
  mkdirSync("bench", { recursive: true });
  const document = { machine: machine(), versions: versions(), workloads, ratios };
  writeFileSync(RESULTS, `${JSON.stringify(document, undefined, 2)}\n`);
  process.stdout.write(table(workloads, ratios));
  process.stderr.write(`written to ${RESULTS}\n`);
}

function table(
  workloads: Record<string, Record<string, Measure>>,
  ratios: Record<string, { median: number; min: number; max: number }>,
): string {
  const lines = [
    "| workload | client | ops/s | CPU µs/op | p50 µs | p99 µs | ringshift is |",
    "|---|---|---|---|---|---|---|",
  ];
  for (const [name, clients] of Object.entries(workloads)) {
    for (const [client, m] of Object.entries(clients)) {
      const ratio = ratios[`${name} vs ${client}`];
      const times = ratio ? `${ratio.median.toFixed(2)} × (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)})` : "";
      const figures = [
        m.opsPerSecond.toFixed(0),
        m.cpuMicrosPerOp.toFixed(2),
        m.p50Micros.toFixed(0),
        m.p99Micros.toFixed(0),
      ];
      lines.push(`| ${name} | ${client} | ${figures.join(" | ")} | ${times} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function medianMeasure(measures: readonly Measure[]): Measure {
  const of = (field: keyof Measure) => median(measures.map((measure) => measure[field]));
  return {
    opsPerSecond: of("opsPerSecond"),
    cpuMicrosPerOp: of("cpuMicrosPerOp"),
    p50Micros: of("p50Micros"),
    p99Micros: of("p99Micros"),
  };
}

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function machine(): object {
  return { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release(), node: process.version };
}

function versions(): Record<string, string> {
  const read = (path: string) => (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
  const names = ["memjs", "hashring", "memcached", "memcache", "memcache-client"];
  return Object.fromEntries([
    ["ringshift", read("package.json")],
    ...names.map((name) => [name, read(`node_modules/${name}/package.json`)]),
  ]);
}
