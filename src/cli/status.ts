/** `status`: nodes, ring, index, the change under way. */
import type { Command } from "commander";
import { clusterStatus } from "./cluster-status.ts";
import { withAdmin } from "./connect.ts";
import { EXIT } from "./exit-codes.ts";
import { globalsOf, interval } from "./options.ts";
import { data, json, warning } from "./output.ts";
import { statusLines, statusProblems } from "./status-text.ts";
import { watchStatus } from "./watch.ts";

const DEFAULT_WATCH_S = 2;

interface StatusFlags {
  /** Seconds between two looks; true: the default. */
  readonly watch?: number | true;
  readonly exact?: boolean;
}

export function registerStatus(program: Command): void {
  program
    .command("status")
    .description("show nodes, ring, index and the change under way; exit 5 when a node is down")
    .option("--watch [seconds]", `go on until SIGTERM or SIGINT (default: every ${DEFAULT_WATCH_S} s)`, interval)
    .option("--exact", "count the live keys on the servers")
    .addHelpText("after", STATES)
    .action(async ({ watch, exact = false }: StatusFlags, command: Command) => {
      const globals = globalsOf(command);
      if (watch !== undefined) return watchStatus(globals, watch === true ? DEFAULT_WATCH_S : watch, exact);
      const status = await withAdmin(globals, (admin) => clusterStatus(admin, globals.namespace, exact, globals));
      if (globals.json) json(status);
      else data(statusLines(status));
      const problems = statusProblems(status);
      for (const problem of problems) warning(problem);
      if (problems.length > 0) process.exitCode = EXIT.UNHEALTHY;
    });
}

const STATES = `
States, two letters: U up, D down; N normal, J joining, L leaving, M moving to another number of points.`;
