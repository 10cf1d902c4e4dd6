/** `npm run fuzz -- --count N --seed S`: random keys and values to real servers and back, then a server that misbehaves. */
import { parseArgs } from "node:util";
import { LocalCluster } from "../testing/local-cluster.ts";
import { type FaultReport, withFaults } from "./faults.ts";
import { type RoundTripReport, roundTrips } from "./round-trips.ts";

const USAGE = `usage: fuzz [--count N] [--seed S] [--faults N] [--json]

  --count N    random keys and values, each set, read and deleted where that is legal (default 100000)
  --seed S     the same seed makes the same keys, values and faults (default 1)
  --faults N   faults in the replies of each protocol, 40 calls around each (default: a five-hundredth of --count)
  --json       the figures as JSON

Starts memcached servers of its own. Exit code: 0 nothing found, 1 something found, 2 a wrong option.
`;

const SERVERS = 3;
const MEMORY_MB = 512;
const PROGRESS_MS = 2_000;

interface Options {
  readonly count: number;
  readonly seed: number;
  readonly faults: number;
  readonly json: boolean;
}

/** Undefined: the usage was printed. */
function parse(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        count: { type: "string", default: "100000" },
        seed: { type: "string", default: "1" },
        faults: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    const [count, seed] = [Number(values.count), Number(values.seed)];
    const faults = values.faults === undefined ? Math.ceil(count / 500) : Number(values.faults);
    const wrong = [count, seed, faults].some((number) => !Number.isSafeInteger(number) || number < 0);
    if (!values.help && !wrong) return { count, seed, faults, json: values.json };
    process.exitCode = values.help ? 0 : 2;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 2;
  }
  process.stderr.write(USAGE);
  return undefined;
}

const options = parse();
if (options !== undefined) await run(options);

async function run({ count, seed, faults, json }: Options): Promise<void> {
  const local = await LocalCluster.start({
    memcached: SERVERS,
    redis: false,
    memcachedOptions: { memoryMb: MEMORY_MB },
  });
  try {
    const startedAt = performance.now();
    const trips = await roundTrips({
      count,
      seed,
      servers: local.servers,
      onProgress: progress("keys and values", count),
    });
    const tripsS = (performance.now() - startedAt) / 1000;
    const onProgress = progress("faults", faults);
    const meta = await withFaults({ rounds: faults, seed, onProgress });
    const binary = await withFaults({ rounds: faults, seed, protocol: "binary", onProgress });
    if (json)
      process.stdout.write(`${JSON.stringify({ seed, tripsS, trips, faults: { meta, binary } }, undefined, 2)}\n`);
    else print(seed, trips, tripsS, { meta, binary });
    if ([trips, meta, binary].some((report) => report.problems.length > 0)) process.exitCode = 1;
  } finally {
    await local.stop();
  }
}

function print(seed: number, trips: RoundTripReport, seconds: number, faults: Record<string, FaultReport>): void {
  const { counted } = trips;
  const problems = [...trips.problems, ...Object.values(faults).flatMap((report) => report.problems)];
  const lines = [
    `seed ${seed}`,
    `${trips.cases} keys and values in ${seconds.toFixed(1)} s`,
    `  ${trips.stored} stored, read back as they were and deleted (${(trips.bytes / 1e6).toFixed(1)} MB of values)`,
    `  ${trips.refusedKeys} keys, ${trips.refusedValues} values and ${trips.tooLarge} sizes refused before I/O`,
    `  the servers count ${counted.cmd_set} sets, ${counted.cmd_get} gets, ${counted.touch_hits} deletes, ${counted.cmd_flush} flushes, ${counted.curr_items} items left`,
    ...Object.entries(faults).flatMap(([protocol, report]) => [
      `${report.rounds} faults over ${protocol}, ${report.calls} calls around them: ${words(report.faults)}`,
      `  rejected: ${words(report.rejected) || "none"}; the slowest call took ${report.slowestMs} ms`,
    ]),
    ...problems.map((problem) => `[ERR] ${problem}`),
    ...(problems.length === 0 ? ["[OK] nothing found"] : []),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

function words(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");
}

/** A line on stderr now and then. */
function progress(what: string, total: number): (done: number) => void {
  let next = performance.now() + PROGRESS_MS;
  return (done) => {
    if (performance.now() < next) return;
    next = performance.now() + PROGRESS_MS;
    process.stderr.write(`${what}: ${done} of ${total}\n`);
  };
}
