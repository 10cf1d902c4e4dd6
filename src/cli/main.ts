#!/usr/bin/env node
/** The program `ringshift`: runs one command and ends, whatever is left open. */
import { CommanderError } from "commander";
import { RingshiftError } from "../errors.ts";
import { EXIT } from "./exit-codes.ts";
import { fail } from "./failure.ts";
import { handleSignals } from "./interrupt.ts";
import { note } from "./output.ts";
import { createProgram } from "./program.ts";

/** Errors of the command line itself come before the options are known. */
function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return words.slice(0, end === -1 ? undefined : end).includes("--json");
}

async function run(words: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(words, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return; // --help, --version
    // help in place of an answer, for a command that lacks its subcommand, has been printed
    const helped = error instanceof CommanderError && error.code === "commander.help";
    process.exitCode = helped && !wantsJson(words) ? EXIT.USAGE : fail(helped ? noCommand() : error, wantsJson(words));
  }
}

function noCommand(): RingshiftError {
  return new RingshiftError("INVALID_OPTION", "A command is missing: ringshift --help lists them.");
}

/** Resolves when what was written is with the system. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}

const words = process.argv.slice(2);
handleSignals();
let unwritten: Error | undefined;
process.stderr.on("error", () => {});
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") unwritten ??= error; // a reader that left wants no more; the work goes on either way
});
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => process.exit(fail(error, wantsJson(words))));
}
await run(words);
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
if (unwritten !== undefined) {
  note(
    `[ERR] The output is not whole (${unwritten.message}). The command itself was carried out, or has failed as told above.`,
  );
  process.exitCode ||= EXIT.FAILED;
}
process.exit();
