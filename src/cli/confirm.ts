/** A change asks on a terminal; elsewhere it needs `--yes`. */
import { createInterface } from "node:readline";
import { RingshiftError } from "../errors.ts";

/** @throws RingshiftError INVALID_OPTION where nobody can be asked */
export function requireConsent(yes: boolean | undefined): void {
  if (yes || (process.stdin.isTTY && process.stderr.isTTY)) return;
  throw new RingshiftError(
    "INVALID_OPTION",
    "There is no terminal to ask on: --yes makes the change without a question, --dry-run only shows it.",
  );
}

/** True for y or yes. The end of the input is a no. */
export function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    terminal.once("close", () => resolve(false));
    // the terminal is in raw mode: Ctrl-C comes as a character
    terminal.once("SIGINT", () => {
      terminal.close();
      process.kill(process.pid, "SIGINT");
    });
    terminal.question(`${question} [y/N] `, (answer) => {
      resolve(/^y(es)?$/i.test(answer.trim()));
      terminal.close();
    });
  });
}
