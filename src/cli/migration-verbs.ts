/** `migration pause|resume|abort|abandon|confirm`: what an operator may do to the change under way. */
import type { Command } from "commander";
import type { ChangeReport } from "../migration/progress.ts";
import { commandLine } from "./command-line.ts";
import { confirm as ask, requireConsent } from "./confirm.ts";
import { withAdmin } from "./connect.ts";
import { EXIT } from "./exit-codes.ts";
import { lostLines, stoppable, withProgress } from "./operation.ts";
import { globalsOf } from "./options.ts";
import { count, data, json, ok, warning } from "./output.ts";

interface Consent {
  readonly yes?: boolean;
}

export function registerMigrationVerbs(migration: Command): void {
  migration
    .command("pause")
    .description("let the copiers of all processes stand still; clients still fetch the keys they touch")
    .action(async (_: object, command: Command) => {
      const globals = globalsOf(command);
      await withAdmin(globals, (admin) => admin.pause());
      if (globals.json) json({ paused: true });
      ok("Paused. ringshift migration resume goes on");
    });
  migration
    .command("resume")
    .description("go on after a pause; carry on the change that no process coordinates")
    .action(async (_: object, command: Command) => {
      const globals = globalsOf(command);
      const report = await withAdmin(globals, (admin) =>
        stoppable("ringshift migration resume", (options) => admin.resume(options)),
      );
      tell(report, globals.json, "Nothing is unfinished here, or the process that coordinates goes on");
    });
  registerAbort(migration);
  registerAbandon(migration);
  registerConfirm(migration);
}

function registerAbort(migration: Command): void {
  migration
    .command("abort")
    .description("give the old ring back: at once before keys move, else by going forward and then back")
    .option("--yes", "do not ask")
    .option("--flush", "delete what a server that has left and returns still holds")
    .action(async ({ yes, flush }: Consent & { flush?: boolean }, command: Command) => {
      const globals = globalsOf(command);
      if (!(await agreed(yes, "Take the change back?"))) return;
      const report = await withAdmin(globals, (admin) =>
        stoppable("ringshift migration abort", (options) => admin.abort({ ...options, flush })),
      );
      if (globals.json) json(report);
      if (report.dropped > 0) warning(`${count(report.dropped)} values could not be stored on the way and are gone`);
      ok(report.outcome === "taken-back" ? "Taken back before any key moved" : "Reversed: the old ring is back");
    });
}

function registerAbandon(migration: Command): void {
  migration
    .command("abandon")
    .description("give up a server that died while keys were moving from it or to it; what it had is lost")
    .argument("<node>", "name of the dead node")
    .option("--yes", "do not ask")
    .action(async (node: string, { yes }: Consent, command: Command) => {
      const globals = globalsOf(command);
      if (!(await agreed(yes, `Give up the keys that are still on ${node}?`))) return;
      const report = await withAdmin(globals, (admin) =>
        stoppable("ringshift migration resume", (options) => admin.abandon(node, options)),
      );
      tell(report, globals.json, `${node} is given up; the process that coordinates goes on`);
    });
}

function registerConfirm(migration: Command): void {
  migration
    .command("confirm")
    .description("decide where a server knows more than Redis: this cluster's keys on such servers are deleted")
    .option("--yes", "do not ask")
    .action(async ({ yes }: Consent, command: Command) => {
      const globals = globalsOf(command);
      if (!(await agreed(yes, "Delete the keys on servers that know more than Redis?"))) return;
      const report = await withAdmin(globals, (admin) => withProgress((onProgress) => admin.confirm(onProgress)));
      if (globals.json) json(report);
      else data(report.emptied.map(({ node, keys }) => `${node}\t${count(keys)} keys deleted`));
      ok(`Confirmed as epoch ${report.epoch}`);
    });
}

/** Sets the exit code where the answer is no. */
async function agreed(yes: boolean | undefined, question: string): Promise<boolean> {
  requireConsent(yes);
  if (yes || (await ask(question))) return true;
  warning("Nothing was changed.");
  process.exitCode = EXIT.FAILED;
  return false;
}

function tell(report: ChangeReport | undefined, asJson: boolean, otherwise: string): void {
  if (asJson) json(report ?? null);
  else if (report !== undefined) data([`Keys moved    ${count(report.moved)} in all`, ...lostLines(report)]);
  ok(report === undefined ? otherwise : `${commandLine(report.command)}: done`);
}
