/** `npm run soak -- NAME`: keeps one promise up for long, prints its figures, and exits with 1 when it broke. */
import { parseArgs } from "node:util";
import { ensureBinaries } from "../testing/index.ts";
import { exitOnSignals } from "../testing/kill-at-exit.ts";
import { cutOffNode } from "./cut-off-node.ts";
import { hotKey } from "./hot-key.ts";
import { redisDown } from "./redis-down.ts";
import type { Outcome, Soak } from "./soak.ts";
import { stoppedClient } from "./stopped-client.ts";
import { stoppedNode } from "./stopped-node.ts";

const SOAKS: readonly Soak[] = [stoppedClient, hotKey, redisDown, stoppedNode, cutOffNode];
const MAX_PROBLEMS = 20;
const EXIT = { kept: 0, broken: 1, usage: 2 } as const;

const USAGE = `usage: soak NAME [--OPTION N ...] [--json]

${SOAKS.map(({ name, about, options }) => {
  const flags = Object.entries(options).map(([option, value]) => `--${option} ${value}`);
  return `  ${name.padEnd(16)} ${about}\n${" ".repeat(19)}${flags.join("  ")}`;
}).join("\n")}
`;

async function main(): Promise<number> {
  const soak = SOAKS.find(({ name }) => name === process.argv[2]);
  if (soak === undefined) {
    process.stderr.write(USAGE);
    return EXIT.usage;
  }
  const options = optionsOf(soak);
  if (options === undefined) return EXIT.usage;
  const { json, ...numbers } = options;
  await ensureBinaries();
  const outcome = await soak.run(numbers as Record<string, number>, (text) => process.stderr.write(`${text}\n`));
  print(soak, outcome, json === 1);
  return outcome.kept ? EXIT.kept : EXIT.broken;
}

/** The options as numbers, `json` as 1 or 0. */
function optionsOf(soak: Soak): Record<string, number> | undefined {
  const names = Object.keys(soak.options);
  const strings = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  try {
    const { values } = parseArgs({ args: process.argv.slice(3), options: { ...strings, json: { type: "boolean" } } });
    const numbers: Record<string, number> = { ...soak.options, json: values.json === true ? 1 : 0 };
    for (const name of names) {
      const text = (values as Record<string, string | undefined>)[name];
      if (text === undefined) continue;
      numbers[name] = Number(text);
      if (!(Number.isSafeInteger(numbers[name]) && numbers[name] > 0)) {
        throw new Error(`--${name} is a whole number above 0, not ${text}`);
      }
    }
    return numbers;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return undefined;
  }
}

function print(soak: Soak, { kept, problems, figures }: Outcome, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ name: soak.name, kept, problems, ...figures })}\n`);
    return;
  }
  for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name.padEnd(24)} ${value}\n`);
  for (const problem of problems.slice(0, MAX_PROBLEMS)) process.stdout.write(`[ERR] ${problem}\n`);
  if (problems.length > MAX_PROBLEMS) process.stdout.write(`[ERR] ... ${problems.length} in all\n`);
  process.stdout.write(`${kept ? "[OK]" : "[ERR] BROKEN:"} ${soak.about}\n`);
}

exitOnSignals();
process.exitCode = await main();
