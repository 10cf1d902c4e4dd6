/** `npm run model -- --runs N --seed S`: runs the model, prints its numbers, and the history of the first run that violates. */
import { parseArgs } from "node:util";
import { describe } from "./history.ts";
import { type RunResult, runOnce } from "./run.ts";
import { RULES, type Rule } from "./without.ts";

const USAGE = `usage: model [--runs N] [--seed S] [--without RULE[,RULE]] [--features NAME[,NAME]] [--json] [--trace] [--all]

  --runs N      seeds S to S + N - 1 (default 1000)
  --seed S      the first seed (default 0); the same seed replays the same run
  --without     switch rules off: ${Object.entries(RULES)
    .map(([name, what]) => `\n                  ${name.padEnd(9)} ${what}`)
    .join("")}
  --features    only these may be drawn
  --first       stop at the first violation
  --trace       print every step
  --json        { runs, operations, ambiguous, violations, seconds } and the seeds that violate
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "1000" },
      seed: { type: "string", default: "0" },
      without: { type: "string", default: "" },
      features: { type: "string" },
      json: { type: "boolean", default: false },
      trace: { type: "boolean", default: false },
      first: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const names = values.without.split(",").filter((name) => name !== "");
  const unknown = names.find((name) => !(name in RULES));
  const [runs, seed] = [Number(values.runs), Number(values.seed)];
  if (values.help || unknown !== undefined || !Number.isInteger(runs) || !Number.isInteger(seed)) {
    process.stderr.write(unknown === undefined ? USAGE : `no rule is named ${unknown}\n${USAGE}`);
    return values.help ? 0 : 2;
  }
  const started = performance.now();
  const features = values.features === undefined ? undefined : new Set(values.features.split(","));
  const trace = values.trace ? (line: string) => process.stdout.write(`${line}\n`) : undefined;
  const total = new Totals();
  for (let at = seed; at < seed + runs; at++) {
    const result = await runOnce({ seed: at, without: new Set(names as Rule[]), features, trace });
    total.add(result);
    if (result.violations.length > 0 && total.violating.length === 1 && !values.json) report(result);
    if (result.violations.length > 0 && values.first) break;
    if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve)); // signals and output get their turn
  }
  total.print((performance.now() - started) / 1000, values.json);
  return total.violating.length > 0 ? 1 : 0;
}

class Totals {
  runs = 0;
  operations = 0;
  ambiguous = 0;
  undecided = 0;
  events = 0;
  readonly violating: number[] = [];
  readonly counts = new Map<string, number>();

  add(result: RunResult): void {
    this.runs++;
    this.operations += result.answered;
    this.ambiguous += result.ambiguous;
    this.undecided += result.undecided;
    this.events += result.events;
    if (result.violations.length > 0) this.violating.push(result.seed);
    for (const [name, count] of result.counts) this.counts.set(name, (this.counts.get(name) ?? 0) + count);
  }

  print(seconds: number, json: boolean): void {
    const { runs, operations, ambiguous, undecided, events, violating } = this;
    const violations = violating.length;
    const counts = Object.fromEntries([...this.counts].sort(([a], [b]) => (a < b ? -1 : 1)));
    const rounded = Math.round(seconds * 10) / 10;
    const figures = { runs, operations, ambiguous, violations, seconds: rounded, undecided, events, counts };
    if (json) {
      process.stdout.write(`${JSON.stringify({ ...figures, seeds: violating.slice(0, 100) })}\n`);
      return;
    }
    process.stdout.write(`${runs} runs, ${operations} operations, ${ambiguous} ambiguous, ${violations} violations, `);
    process.stdout.write(`${undecided} undecided, ${events} events, ${rounded} s\n${JSON.stringify(counts)}\n`);
    if (violations > 0) process.stdout.write(`violating seeds: ${violating.slice(0, 20).join(" ")}\n`);
  }
}

function report(result: RunResult): void {
  for (const key of result.violations) {
    process.stdout.write(`seed ${result.seed}: the history of ${key} is not linearizable\n`);
    const lines = result.operations.filter((operation) => operation.key === key).map(describe);
    process.stdout.write(`${lines.join("\n")}\n`);
  }
}

process.exitCode = await main();
