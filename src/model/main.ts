/** `npm run model -- --runs N --seed S`: runs the model, prints its numbers, and the history of the first run that violates. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { type Batch, runBatch } from "./batch.ts";
import { FEATURES } from "./features.ts";
import { PROFILE_NAMES } from "./profile.ts";
import type { Totals } from "./totals.ts";
import { RULES, type Rule, SAFEGUARDS } from "./without/rules.ts";

import { runInWorkers } from "./workers.ts";

const listed = (rules: Readonly<Record<string, string>>) =>
  Object.entries(rules)
    .map(([name, what]) => `\n                  ${name.padEnd(11)} ${what}`)
    .join("");

const USAGE = `usage: model [--runs N] [--seed S] [--without RULE[,RULE]] [--features NAME[,NAME]] [--profile NAME] [--workers N] [--first] [--trace] [--json]

  --runs N      seeds S to S + N - 1 (default 1000)
  --seed S      the first seed (default 0); the same seed replays the same run
  --without     switch rules off (docs/model.md):${listed(RULES)}
                or safeguards, of which no history shows that one alone is missing:${listed(SAFEGUARDS)}
  --features    only these may be drawn: ${FEATURES.join(" ")}
  --profile     every run has this one: ${PROFILE_NAMES.join(" ")}
  --workers N   threads (default: one per core); the result does not depend on it
  --first       stop at the first violation
  --trace       print every step, in one thread
  --json        { runs, operations, ambiguous, violations, seconds, seeds, report, ... }

Exit code: 0 no violation, 1 violations, 2 a wrong option.
`;

interface Options extends Batch {
  readonly workers: number;
  readonly trace: boolean;
  readonly json: boolean;
}

/** Undefined: the usage was printed. */
function parse(): Options | undefined {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "1000" },
      seed: { type: "string", default: "0" },
      without: { type: "string", default: "" },
      features: { type: "string" },
      profile: { type: "string" },
      workers: { type: "string", default: String(availableParallelism()) },
      json: { type: "boolean", default: false },
      trace: { type: "boolean", default: false },
      first: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const without = list(values.without);
  const features = values.features === undefined ? undefined : list(values.features);
  const wrong = [
    ...without.filter((name) => !(name in RULES || name in SAFEGUARDS)),
    ...(features ?? []).filter((name) => !isFeature(name)),
  ];
  if (values.profile !== undefined && !PROFILE_NAMES.includes(values.profile)) wrong.push(values.profile);
  const [runs, seed, workers] = [whole(values.runs), whole(values.seed), whole(values.workers)];
  if (values.help || wrong.length > 0 || runs < 1 || seed < 0 || workers < 1) {
    process.stderr.write(
      wrong.length === 0 ? USAGE : `no rule, feature or profile is named ${wrong.join(", ")}\n${USAGE}`,
    );
    if (!values.help) process.exitCode = 2;
    return undefined;
  }
  const { json, trace, first, profile } = values;
  const spare = without.filter((name) => name in SAFEGUARDS);
  if (spare.length > 0)
    process.stderr.write(`${spare.join(", ")}: no history shows that (docs/model.md, "Safeguards")\n`);
  return { runs, seed, without: without as Rule[], features, profile, first, workers, trace, json };
}

function list(text: string): string[] {
  return text.split(",").filter((name) => name !== "");
}

function isFeature(name: string): boolean {
  return (FEATURES as readonly string[]).includes(name);
}

/** -1 for what is no whole number. */
function whole(text: string): number {
  const number = Number(text);
  return text !== "" && Number.isSafeInteger(number) ? number : -1;
}

async function main(): Promise<void> {
  const options = parse();
  if (options === undefined) return;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(); // whoever read the trace has seen enough
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  });
  const started = performance.now();
  const { workers, trace, json, ...batch } = options;
  const progress = process.stderr.isTTY ? (runs: number) => void process.stderr.write(`\r${runs} runs `) : () => {};
  const totals = trace
    ? await runBatch(batch, (line) => process.stdout.write(`${line}\n`))
    : await runInWorkers(batch, workers, progress);
  if (process.stderr.isTTY && !trace) process.stderr.write("\r");
  print(totals, Math.round((performance.now() - started) / 100) / 10, json);
  process.exitCode = totals.violations > 0 ? 1 : 0;
}

function print({ counts, seeds, report, ...sums }: Totals, seconds: number, json: boolean): void {
  const sorted = Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
  const { runs, operations, ambiguous, violations, undecided, events } = sums;
  if (json) {
    const figures = { runs, operations, ambiguous, violations, seconds, undecided, events };
    process.stdout.write(`${JSON.stringify({ ...figures, seeds, report, counts: sorted })}\n`);
    return;
  }
  for (const line of report) process.stdout.write(`${line}\n`);
  process.stdout.write(`${runs} runs, ${operations} operations, ${ambiguous} ambiguous, ${violations} violations, `);
  process.stdout.write(`${undecided} undecided, ${events} events, ${seconds} s\n${JSON.stringify(sorted)}\n`);
  if (violations > 0) process.stdout.write(`violating seeds: ${seeds.slice(0, 20).join(" ")}\n`);
}

await main();
