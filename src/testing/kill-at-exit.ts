/** Children that must not outlive this process: one that is stopped (SIGSTOP) would not see that its parent is gone. */
import type { ChildProcess } from "node:child_process";

const living = new Set<ChildProcess>();

export function killAtExit(child: ChildProcess): void {
  if (living.size === 0) process.once("exit", killAll);
  living.add(child);
  child.once("exit", () => {
    living.delete(child);
    if (living.size === 0) process.off("exit", killAll);
  });
}

function killAll(): void {
  for (const child of living) child.kill("SIGKILL");
}

/** Of a program with such children: a signal ends it by way of `exit`, which its own end would leave out. */
export function exitOnSignals(): void {
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.once(signal, () => process.exit(128 + number));
  }
}
