/** One client's turn: its own process, all workloads once, results to the parent. */
import { type BenchClient, type BenchTarget, type ClientName, connectClient } from "./clients.ts";

export interface Measure {
  readonly opsPerSecond: number;
  readonly cpuMicrosPerOp: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

export interface WorkerTask {
  readonly client: ClientName;
  readonly target: BenchTarget;
  readonly round: number;
  readonly seconds: number;
}

interface Workload {
  readonly name: string;
  readonly inFlight: number;
  readonly run: (client: BenchClient, i: number, round: string) => Promise<unknown>;
}

const KEYS = 10_000;
const MULTI = 100;
const VALUE = "v".repeat(100);
const WARM_UP_S = 0.3;

const key = (i: number) => `bench:key:${i % KEYS}`;
const many = (i: number) => Array.from({ length: MULTI }, (_, j) => key(i * MULTI + j));

/** Names say what is done and how many calls are in flight. */
export const WORKLOADS: readonly Workload[] = [
  { name: "get-hit-64", inFlight: 64, run: (client, i) => client.get(key(i)) },
  { name: "get-hit-1", inFlight: 1, run: (client, i) => client.get(key(i)) },
  { name: "get-hit-1024", inFlight: 1024, run: (client, i) => client.get(key(i)) },
  { name: "get-miss-64", inFlight: 64, run: (client, i) => client.get(`bench:none:${i % KEYS}`) },
  { name: "set-known-64", inFlight: 64, run: (client, i) => client.set(key(i), VALUE) },
  { name: "set-new-64", inFlight: 64, run: (client, i, round) => client.set(`bench:new:${round}:${i}`, VALUE) },
  { name: "get-multi-100", inFlight: 4, run: (client, i) => client.getMany(many(i)) },
];

process.on("message", (task: WorkerTask) => {
  turn(task).then(
    (measures) => process.send?.(measures, () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${task.client}: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});

async function turn({ client: name, target, round, seconds }: WorkerTask): Promise<Record<string, Measure>> {
  const client = await connectClient(name, target);
  for (let from = 0; from < KEYS; from += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, j) => client.set(key(from + j), VALUE)));
  }
  const measures: Record<string, Measure> = {};
  for (const workload of WORKLOADS) {
    const id = `${name}:${round}`;
    await load(client, workload, `${id}:warm`, WARM_UP_S);
    measures[workload.name] = await load(client, workload, id, seconds);
  }
  await client.close();
  return measures;
}

async function load(client: BenchClient, workload: Workload, id: string, seconds: number): Promise<Measure> {
  const micros: number[] = [];
  const cpu = process.cpuUsage();
  const began = performance.now();
  const until = began + seconds * 1000;
  let next = 0;
  const lane = async () => {
    for (let now = performance.now(); now < until; ) {
      await workload.run(client, next++, id);
      const after = performance.now();
      micros.push((after - now) * 1000);
      now = after;
    }
  };
  await Promise.all(Array.from({ length: workload.inFlight }, lane));
  const { user, system } = process.cpuUsage(cpu);
  const elapsed = (performance.now() - began) / 1000;
  micros.sort((a, b) => a - b);
  const at = (share: number) => micros[Math.min(micros.length - 1, Math.floor(share * micros.length))] ?? 0;
  return {
    opsPerSecond: micros.length / elapsed,
    cpuMicrosPerOp: (user + system) / micros.length,
    p50Micros: at(0.5),
    p99Micros: at(0.99),
  };
}
