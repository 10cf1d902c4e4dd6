/** `migration status`: the change under way. */
import type { Command } from "commander";
import type { UnderWay } from "../migration/under-way.ts";
import { commandLine } from "./command-line.ts";
import { withAdmin } from "./connect.ts";
import { registerMigrationVerbs } from "./migration-verbs.ts";
import { globalsOf } from "./options.ts";
import { count, data, json } from "./output.ts";

const INTERRUPTED_ABORT = "An abort was interrupted before its way back: ringshift migration abort carries it on.";

export function registerMigration(program: Command): void {
  const migration = program.command("migration").description("look after the change under way");
  registerMigrationVerbs(migration);
  migration
    .command("status")
    .description("show what runs and how far it is")
    .action(async (_: object, command: Command) => {
      const globals = globalsOf(command);
      await withAdmin(globals, async (admin) => {
        const operation = await admin.underWay();
        const { epoch, phase, settling } = await admin.topology();
        const abortPending = await admin.abortPending();
        const told = {
          namespace: globals.namespace,
          epoch,
          phase,
          settling,
          ...(abortPending ? { abortPending } : {}),
        };
        if (globals.json) json({ ...told, operation: operation ?? null });
        else if (operation !== undefined) data(underWayLines(operation, phase));
        else if (abortPending) data([`Nothing runs (epoch ${epoch}, phase ${phase}). ${INTERRUPTED_ABORT}`]);
        else data([`Nothing runs (epoch ${epoch}, phase ${phase}).`]);
      });
    });
}

function underWayLines(operation: UnderWay, phase: string): string[] {
  const { command, startedAt, state, moved, coordinator, paused, aborting, dead = [] } = operation;
  const notes = [paused ? "paused" : "", aborting ? "being aborted" : "", ...dead.map((node) => `${node} given up`)];
  return [
    `Command       ${commandLine(command)}`,
    `Begun         ${startedAt}`,
    `Phase         ${[`${phase}, ${state}`, ...notes.filter(Boolean)].join(", ")}`,
    `Progress      ${progressText(operation)}, ${count(moved)} keys moved`,
    `Coordinator   ${coordinator === undefined ? nobody(operation) : `process ${coordinator.pid} on ${coordinator.host}`}`,
  ];
}

export function progressText({ setsDone, sets }: UnderWay): string {
  return `${count(setsDone)}/${count(sets)} sets${sets === 0 ? "" : ` (${Math.floor((setsDone / sets) * 100)} %)`}`;
}

function nobody({ state }: UnderWay): string {
  return state === "settling" ? "none is needed" : "none: the same command resumes it";
}
