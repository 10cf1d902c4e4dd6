/**
 * `status --watch`, which may be the only process of a container: it survives the absence of Redis, of the cluster and of nodes, and ends
 * with 0 on SIGTERM or SIGINT. Like every client it also helps a cluster without an operator along (protocol/caretaker.ts).
 *
 * On a terminal the screen is drawn anew; elsewhere a line appears when something other than the traffic's numbers has changed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isRingshiftError } from "../errors.ts";
import { type Admin, openAdmin } from "../migration/admin.ts";
import { type ClusterStatus, clusterStatus } from "./cluster-status.ts";
import { closed, clusterOf } from "./connect.ts";
import { EXIT } from "./exit-codes.ts";
import { describe, failureLine } from "./failure.ts";
import { interruptible } from "./interrupt.ts";
import type { Globals } from "./options.ts";
import { data, jsonLine, note } from "./output.ts";
import { statusLines, statusSummary } from "./status-text.ts";

const CLEAR = "\x1b[H\x1b[2J";

/** @throws RingshiftError INVALID_OPTION, which no waiting mends */
export async function watchStatus(globals: Globals, everySeconds: number, exact: boolean): Promise<void> {
  const display = displayFor(globals);
  let admin: Admin | undefined;
  await interruptible(async (signal) => {
    const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    process.stdout.once("error", ({ code }: NodeJS.ErrnoException) => {
      process.exit(code === "EPIPE" ? EXIT.DONE : EXIT.FAILED); // nobody reads any more, or can
    });
    while (!signal.aborted) {
      const look = async () => {
        admin ??= await openAdmin(clusterOf(globals));
        display.show(await clusterStatus(admin, globals.namespace, exact, globals));
      };
      await Promise.race([look().catch((error: unknown) => display.fail(error)), stopped]);
      await sleep(everySeconds * 1000, undefined, { signal }).catch(() => {});
    }
  });
  if (admin !== undefined) await closed((admin as Admin).close());
}

interface Display {
  show(status: ClusterStatus): void;
  fail(error: unknown): void;
}

function displayFor({ json }: Globals): Display {
  if (json) return changesOnly(jsonLine, jsonLine);
  if (!process.stdout.isTTY) {
    return changesOnly(
      (status) => data([stamped(statusSummary(status))]),
      (failure) => note(stamped(failureLine(failure))),
    );
  }
  return {
    show: (status) => void process.stdout.write(`${CLEAR}${statusLines(status).join("\n")}\n`),
    fail: (error) => void process.stdout.write(`${CLEAR}${failureLine(describe(lasting(error)))}\n`),
  };
}

function changesOnly(
  show: (status: ClusterStatus) => void,
  fail: (failure: ReturnType<typeof describe>) => void,
): Display {
  let last = "";
  const onChange = (text: string, say: () => void) => {
    if (text !== last) say();
    last = text;
  };
  return {
    show: (status) => onChange(statusSummary(status), () => show(status)),
    fail: (error) => {
      const failure = describe(lasting(error));
      onChange(`failed ${failure.error.code}`, () => fail(failure));
    },
  };
}

/** Throws what is wrong with the command line itself. */
function lasting(error: unknown): unknown {
  if (isRingshiftError(error, "INVALID_OPTION")) throw error;
  return error;
}

function stamped(text: string): string {
  return `${new Date().toISOString()} ${text}`;
}
