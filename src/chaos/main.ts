/** `npm run chaos -- --minutes M --seed S`: a chaos run, its figures, and the history of a key that was not as one Memcached would have had it. */
import { parseArgs } from "node:util";
import { ensureBinaries } from "../testing/index.ts";
import { exitOnSignals } from "../testing/kill-at-exit.ts";
import { type ChaosReport, runChaos } from "./run.ts";
import { CHAOS_RULES, type ChaosRule } from "./without.ts";

const USAGE = `usage: chaos [--minutes M] [--seed S] [--clients N] [--every MS] [--without RULE[,RULE]] [--json] [--quiet]

  --minutes M    of faults (default 10); setting up, coming to rest and judging take some more
  --seed S       of what the nemesis, the operators and the clients do (default 1). Real processes: the same seed is not the same run
  --clients N    client processes (default 6)
  --every MS     between two faults, on average (default 2200)
  --without      a rule that the clients do not keep, to see it noticed:${Object.entries(CHAOS_RULES)
    .map(([name, what]) => `\n                   ${name.padEnd(9)} ${what}`)
    .join("")}
  --json         the figures as one JSON document on stdout
  --keep DIR     leave the log there (one line per call and answer, and timeline.json)
  --quiet        not what happens, on stderr

Ends with 0: no violation. 1: a violation, with the history of its key on stderr. 2: wrong usage. 3: the run could not be carried through.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "10" },
      seed: { type: "string", default: "1" },
      clients: { type: "string", default: "6" },
      every: { type: "string", default: "2200" },
      without: { type: "string", default: "" },
      keep: { type: "string" },
      json: { type: "boolean", default: false },
      quiet: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const [minutes, seed, clients, everyMs] = [values.minutes, values.seed, values.clients, values.every].map(Number);
  const without = values.without.split(",").filter((name) => name !== "");
  const unknown = without.find((name) => !(name in CHAOS_RULES));
  const valid =
    minutes! > 0 && Number.isSafeInteger(seed) && Number.isSafeInteger(clients) && clients! >= 3 && everyMs! > 0;
  if (values.help || unknown !== undefined || !valid) {
    process.stderr.write(unknown === undefined ? USAGE : `no rule is named ${unknown}\n${USAGE}`);
    return values.help ? 0 : 2;
  }
  await ensureBinaries();
  const log = values.quiet ? () => {} : (text: string) => process.stderr.write(`${text}\n`);
  const options = {
    minutes: minutes!,
    seed: seed!,
    clients: clients!,
    everyMs: everyMs!,
    without: without as ChaosRule[],
    keep: values.keep,
    log,
  };
  const { report, texts } = await runChaos(options);
  for (const text of texts) process.stderr.write(`\n${text}\n`);
  process.stdout.write(values.json ? `${JSON.stringify(toJson(report), undefined, 2)}\n` : summary(report));
  return report.passed ? 0 : 1;
}

function toJson({ violations, ...figures }: ChaosReport): object {
  const { lostWrite, resurrection, staleRead, lostIncrement, ttlGrown } = violations;
  return {
    ...figures,
    lostWrites: lostWrite,
    resurrections: resurrection,
    staleReads: staleRead,
    lostIncrements: lostIncrement,
    ttlsGrown: ttlGrown,
  };
}

function summary(report: ChaosReport): string {
  const { operations, movingOperations, writes, ambiguousWrites, violations, migrations, faults, verify } = report;
  const count = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, number]) => `${name} ${number}`)
      .join(", ");
  const share = ((100 * ambiguousWrites.fence) / Math.max(1, writes)).toFixed(3);
  const lines = [
    `seed ${report.seed}, ${report.seconds} s: ${report.passed ? "passed" : "FAILED"}`,
    `operations       ${operations} answered (${writes} writes), ${movingOperations} of moving keys, ${report.failed} rejected without effect`,
    `migrations       ${migrations}`,
    `faults           ${count(faults)}`,
    `ambiguous writes ${count(ambiguousWrites)} (by a fence: ${share} % of writes)`,
    `violations       ${count(violations)}; ${report.undecidedKeys} of ${report.keys} keys undecided`,
    `explained losses ${count(report.explainedLosses)}; ${report.dropped} values dropped for want of room`,
    ...Object.entries(verify).map(([ring, found]) => `verify ${ring}         ${verifyText(found)}`),
  ];
  return `${lines.join("\n")}\n`;
}

function verifyText(found: ChaosReport["verify"][string]): string {
  if (typeof found === "string") return `failed: ${found}`;
  const { keys, missing, unrecorded, strays, clean } = found;
  return `${clean ? "clean" : "NOT CLEAN"}: ${keys} keys, ${missing.count} missing, ${unrecorded.count} unrecorded, ${strays.count} strays`;
}

exitOnSignals();
try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 3;
}
