/**
 * `npm run bench`: ringshift, its peers and the floors in turns against the same servers, in one run. Machines differ and are noisy, so what
 * counts are the ratios, taken round by round.
 *
 *     parts (rounds.ts, mid-migration.ts, migration.ts, ring-parts.ts) ──► child processes (worker.ts), each one turn of one client
 *        └─► results.ts ──► bench/results.json ──► tables.ts, plots.ts, check.ts ──► docs/performance.md, bench/*.svg
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBinaries } from "../testing/index.ts";
import { describeMachine, versions } from "./measure/machine.ts";
import { choosePinning } from "./measure/pinning.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { MID_MIGRATIONS } from "./parts/mid-migration.ts";
import { MIGRATIONS } from "./parts/migration.ts";
import type { Part, PartOptions } from "./parts/part.ts";
import { PROFILES } from "./parts/profiles.ts";
import { INDEX_PARTS, RING_PARTS } from "./parts/ring-parts.ts";
import { STEADY_PARTS } from "./parts/rounds.ts";
import { Progress } from "./progress.ts";
import { allMet, checkTargets } from "./report/check.ts";
import { plotsOf, putSections, sectionsOf } from "./report/document.ts";
import { mergeResults, type Results } from "./report/results.ts";
import { COST, checkTable, SPEED, workloadTable } from "./report/tables.ts";

const ROOT = new URL("../../", import.meta.url);
const DOCUMENT = new URL("docs/performance.md", ROOT);
const PLOTS = fileURLToPath(new URL("bench/", ROOT));
/**
 * CPU time to get warm in, in terms of the measured time. Recording new keys, the longest way of all calls, gets faster for seconds while V8 compiles it:
 * with a third of a second before it was measured at 30 µs, with two seconds at 22.
 */
const WARM_UP_FACTOR = 3;
/** Exit codes. */
const FAILED = 1;
const USAGE_ERROR = 2;

const PARTS: readonly Part[] = [
  ...STEADY_PARTS,
  ...MID_MIGRATIONS,
  ...MIGRATIONS,
  ...INDEX_PARTS,
  ...RING_PARTS,
  ...PROFILES,
];
const NAMES = PARTS.flatMap(({ names }) => names);

async function main(args: readonly string[]): Promise<number> {
  let options: ReturnType<typeof parseOptions>;
  try {
    options = parseOptions(args, NAMES);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
    return USAGE_ERROR;
  }
  if (typeof options === "string") {
    process.stdout.write(`${options === "help" ? USAGE : NAMES.join("\n")}\n`);
    return 0;
  }
  const results = options.render ? readResults(options.out) : await measure(options);
  if (results === undefined) {
    process.stderr.write(`There is nothing in ${options.out}: run the benchmark first.\n`);
    return FAILED;
  }
  if (options.docs) writeDocs(results);
  print(results, options);
  return options.strict && !allMet(checkTargets(results)) ? FAILED : Number(process.exitCode ?? 0);
}

/** Writes what there is after each part, so that an interrupted run has not been for nothing. */
async function measure(options: BenchOptions): Promise<Results | undefined> {
  await ensureBinaries();
  const { only, clients, rounds, insists, seconds, quick, out } = options;
  const parts = PARTS.filter(({ names }) => only === undefined || names.some((name) => only.includes(name)));
  const pinning = choosePinning();
  const progress = new Progress(parts.reduce((sum, part) => sum + part.steps({ rounds, insists, quick, clients }), 0));
  const times = { rounds, insists, seconds, warmUpSeconds: seconds * WARM_UP_FACTOR };
  const partOptions: PartOptions = { ...times, clients, quick, pinning, progress };
  const about = { machine: { ...describeMachine(pinning), rounds, seconds, quick }, versions: versions(ROOT) };
  let results = only === undefined ? undefined : readResults(out);
  mkdirSync(dirname(out), { recursive: true });
  for (const part of parts) {
    try {
      results = mergeResults(results, { ...about, ...(await part.run(partOptions)) });
    } catch (error) {
      process.stderr.write(`${part.names.join(", ")} failed and is left out: ${(error as Error).message}\n`);
      process.exitCode = FAILED;
      continue;
    }
    writeFileSync(out, `${JSON.stringify(results, undefined, 2)}\n`);
    process.stderr.write(`${part.names.join(", ")} written to ${out}\n`);
  }
  return results;
}

function readResults(path: string): Results | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Results) : undefined;
}

function writeDocs(results: Results): void {
  writeFileSync(DOCUMENT, putSections(readFileSync(DOCUMENT, "utf8"), sectionsOf(results)));
  for (const [name, svg] of Object.entries(plotsOf(results))) writeFileSync(join(PLOTS, name), svg);
  process.stderr.write(`tables and plots written to docs/performance.md and bench/*.svg\n`);
}

function print(results: Results, { json, check, only }: BenchOptions): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
    return;
  }
  const names = only ?? Object.keys(results.workloads);
  process.stdout.write(`${workloadTable(results, names, [...SPEED, ...COST])}\n`);
  if (check || only === undefined) process.stdout.write(`\n${checkTable(checkTargets(results))}\n`);
}

process.exitCode = await main(process.argv.slice(2));
