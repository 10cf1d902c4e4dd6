/**
 * A change of the cluster, from the command line to its report. What the commands share:
 *
 *   under way already? ─ the same: resume ─────────────────────────┐
 *        │              another: MIGRATION_RUNNING                 ▼
 *        └─ no: check and plan ─► show ─► ask ──────────────────► apply ─► report
 */
import type { Command } from "commander";
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Admin } from "../migration/admin.ts";
import { type Change, commandText, deadNames } from "../migration/change.ts";
import type { Plan } from "../migration/plan.ts";
import type { ChangeReport } from "../migration/progress.ts";
import type { UnderWay } from "../migration/under-way.ts";
import { commandLine } from "./command-line.ts";
import { confirm, requireConsent } from "./confirm.ts";
import { withAdmin } from "./connect.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { Interrupted, Unfinished } from "./failure.ts";
import { interruptible } from "./interrupt.ts";
import { lostLines } from "./operation.ts";
import { type Globals, positive } from "./options.ts";
import { count, data, json, note, ok, percent, step, warning } from "./output.ts";
import { planLines } from "./plan-text.ts";
import { openProgress } from "./progress.ts";

/** After a signal the copier gets this long to stop by itself. Ending it under way is as safe, so this is only politeness. */
const STOP_MS = 3_000;

export interface ChangeFlags {
  readonly flush?: boolean;
  readonly force?: boolean;
  /** Keys a second. */
  readonly rate?: number;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** What a plan takes, too. */
export function addForceOption(command: Command): Command {
  return command.option(
    "--force",
    "go on where a check refuses: a proxy, or a server that may not store all that is to move",
  );
}

/** The options of every command that changes the cluster. */
export function addChangeOptions(command: Command): Command {
  return command
    .option("--rate <keys-per-second>", "move at most so many keys a second", positive)
    .option("--yes", "do not ask")
    .option("--dry-run", "show the plan, change nothing");
}

/** @throws RingshiftError, Interrupted */
export async function runChange(globals: Globals, change: Change, flags: ChangeFlags): Promise<ExitCode> {
  if (flags.dryRun) return runPlan(globals, change, flags);
  requireConsent(flags.yes);
  return withAdmin(globals, async (admin) => {
    const standing = await resumable(admin, change);
    if (standing === undefined) showPlan(await plan(admin, change, flags), change);
    else showStanding(standing);
    if (!flags.yes && !(await confirm("Proceed?"))) {
      warning("Nothing was changed.");
      return EXIT.FAILED;
    }
    const report = await apply(admin, change, flags);
    if (globals.json) json(report);
    else data(reportLines(report));
    ok(`${report.command}: done`);
    return EXIT.DONE;
  });
}

/** Shows what the change would do. @throws RingshiftError as the change itself would before it changes anything */
export async function runPlan(globals: Globals, change: Change, flags: ChangeFlags): Promise<ExitCode> {
  return withAdmin(globals, async (admin) => {
    const standing = await resumable(admin, change);
    if (standing !== undefined) throw running(standing);
    const planned = await plan(admin, change, flags);
    if (globals.json) json({ command: commandText(change), ...planned });
    else data(planLines(planned, deadNames(change)));
    return EXIT.DONE;
  });
}

/** The same change, when it was begun and not ended. @throws RingshiftError MIGRATION_RUNNING when another one was */
async function resumable(admin: Admin, change: Change): Promise<UnderWay | undefined> {
  const standing = await admin.underWay();
  if (standing === undefined || standing.state === "settling") return undefined;
  if (standing.command === commandText(change)) return standing;
  if (standing.state === "cleaning") return undefined; // its keys have arrived: the lease decides
  throw running(standing);
}

function running(standing: UnderWay): RingshiftError {
  const by = standing.coordinator;
  return new RingshiftError(
    "MIGRATION_RUNNING",
    by === undefined
      ? `"${commandLine(standing.command)}" was begun and is not finished: run it again to finish it first.`
      : `"${commandLine(standing.command)}" is under way (process ${by.pid} on ${by.host}): see ringshift migration status.`,
  );
}

async function plan(admin: Admin, change: Change, flags: ChangeFlags): Promise<Plan> {
  if (change.kind === "add-node") for (const node of change.nodes) step(`Checking ${node.address}`);
  step(`Planning ${commandText(change)}`);
  return admin.plan(change, { flush: flags.flush, force: flags.force });
}

function showPlan(planned: Plan, change: Change): void {
  for (const line of planLines(planned, deadNames(change))) note(line === "" ? "" : `    ${line}`);
}

function showStanding({ command, state, setsDone, sets, moved }: UnderWay): void {
  step(`Resuming ${command} (${state}, ${count(setsDone)}/${count(sets)} sets, ${count(moved)} keys moved)`);
}

async function apply(admin: Admin, change: Change, flags: ChangeFlags): Promise<ChangeReport> {
  const progress = await openProgress();
  const { onProgress } = progress;
  const { flush, force, rate } = flags;
  try {
    return await interruptible((signal) => {
      const report = admin.apply(change, { flush, force, rate, signal, onProgress });
      return Promise.race([report, stoppedLate(signal, progress.end)]).catch((error: unknown) => {
        throw signal.aborted ? interrupted(change, progress.begun) : error;
      });
    });
  } catch (error) {
    progress.end();
    if (progress.begun && isRingshiftError(error, "WOULD_NOT_FIT")) throw new Unfinished(error);
    const hint = progress.begun && !(error instanceof Interrupted) && !isRingshiftError(error, "MIGRATION_STOPPED");
    if (hint) warning("The change may be unfinished (ringshift migration status): the same command resumes it.");
    throw error;
  }
}

/** Rejects some time after the signal, for a coordinator that is waiting for something else than its copier. */
function stoppedLate(signal: AbortSignal, endProgress: () => void): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => {
      endProgress();
      warning("Interrupted: stopping");
      setTimeout(reject, STOP_MS, new Error("interrupted")).unref();
    });
  });
}

function interrupted(change: Change, begun: boolean): Interrupted {
  return new Interrupted(
    begun
      ? `Interrupted. Reads and writes go on; the same command resumes: ${commandLine(commandText(change))}`
      : "Interrupted before anything was moved; the same command starts again, or resumes.",
  );
}

function reportLines(report: ChangeReport): string[] {
  const { moved, keysSeen, ringShare, idealShare, setsRead, setsTotal, seconds, keysPerSecond, resumed } = report;
  return [
    resumed
      ? `Keys moved    ${count(moved)} in all; this run has looked at ${count(keysSeen)} entries`
      : `Keys moved    ${count(moved)} of ${count(keysSeen)} entries; clients moved the others, or they were gone`,
    `Ring share    ${percent(ringShare)} moved${resumed ? "" : `; an ideal ring would move ${percent(idealShare)}`}`,
    ...lostLines(report),
    `Sets read     ${count(setsRead)} of ${count(setsTotal)}`,
    `Time          ${seconds.toFixed(1)} s${resumed ? " for the resumed part" : ""}, ${count(Math.round(keysPerSecond))} keys/s`,
    `Epoch         ${report.epoch}`,
  ];
}
