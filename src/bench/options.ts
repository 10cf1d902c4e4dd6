/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";
import { FLOORS, OURS, PEERS, UNFENCED } from "./jobs/workloads.ts";

const CLIENTS: readonly string[] = [OURS, UNFENCED, ...PEERS, ...FLOORS];

export interface BenchOptions {
  /** Names of workloads; undefined: all. */
  readonly only: readonly string[] | undefined;
  /** Names of clients; undefined: all. */
  readonly clients: readonly string[] | undefined;
  readonly rounds: number;
  /** `--rounds` was given. */
  readonly insists: boolean;
  readonly seconds: number;
  readonly quick: boolean;
  /** Results to stdout as JSON instead of tables. */
  readonly json: boolean;
  /** Print the targets with what was reached. */
  readonly check: boolean;
  /** Exit code 1 when a target is missed. */
  readonly strict: boolean;
  /** Run nothing: tables and targets of the results that are there. */
  readonly render: boolean;
  /** Write tables and plots for docs/performance.md. */
  readonly docs: boolean;
  readonly out: string;
}

export const USAGE = `npm run bench -- [options]
  --only NAME,...   these workloads alone (--list names them); their results take the place of the old ones in the file
  --clients NAME,.. these clients alone, in steady workloads
  --rounds N        rounds of every workload (default 3, more where small differences count)
  --seconds S       measured time of one turn (default 0.7)
  --quick           one round, short turns, small data: to see that it works, not for figures
  --json            results to stdout as JSON
  --check           after the run, or with --render without one, the targets with what was reached; with --strict the exit code is 1 when one is missed
  --render          run nothing: tables, plots and targets of the results that are there
  --no-docs         leave docs/performance.md and the plots alone (so do --only and --quick, unless --docs is given)
  --out FILE        default bench/results.json
  --list            names of the workloads
  --help`;

/** What was asked for. @throws Error that says what is wrong, for people */
export function parseOptions(args: readonly string[], names: readonly string[]): BenchOptions | "help" | "list" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      clients: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      strict: { type: "boolean", default: false },
      render: { type: "boolean", default: false },
      docs: { type: "boolean" },
      "no-docs": { type: "boolean", default: false },
      out: { type: "string", default: "bench/results.json" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  if (values.list) return "list";
  const only = namesIn(values.only, names, "workload");
  const clients = namesIn(values.clients, CLIENTS, "client");
  const { quick, json, check, strict, render, out } = values;
  const rounds = positive("--rounds", values.rounds, quick ? 1 : 3);
  if (!Number.isInteger(rounds)) throw new Error(`--rounds is a whole number, not ${values.rounds}.`);
  return {
    only,
    clients,
    rounds,
    insists: quick || values.rounds !== undefined,
    seconds: positive("--seconds", values.seconds, quick ? 0.1 : 0.7),
    ...{ quick, json, strict, render, out, check: check || strict },
    docs: !values["no-docs"] && (values.docs ?? (!quick && only === undefined && clients === undefined)),
  };
}

function namesIn(list: string | undefined, known: readonly string[], what: string): string[] | undefined {
  const names = list?.split(",").filter((name) => name !== "");
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown === undefined) return names;
  const hint = known === CLIENTS ? known.join(", ") : "--list names them";
  throw new Error(`No ${what} is named ${unknown}: ${hint}.`);
}

function positive(name: string, text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const value = Number(text);
  if (!(value > 0 && value <= 1000)) throw new Error(`${name} is a number above 0 and at most 1000, not ${text}.`);
  return value;
}
