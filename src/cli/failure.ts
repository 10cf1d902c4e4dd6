/** How a command fails: one coded line, or one JSON document, and the exit code that belongs to it. Never a stack trace unasked. */
import { CommanderError } from "commander";
import { type ErrorCode, isRingshiftError, type RingshiftError } from "../errors.ts";
import { EXIT, EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { json, note } from "./output.ts";

/** The document of a `--json` run that failed, on stdout. */
export interface FailureDocument {
  readonly error: {
    /** An error code of ringshift, or INTERNAL for what should not happen. */
    readonly code: string;
    readonly message: string;
    readonly node?: string;
    readonly key?: string;
  };
}

/** What helps, where the message comes from deep below and can only say what happened. One that asks something itself is left alone. */
const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  NODE_DOWN: "is the memcached running, and can it be reached from here? See ringshift status.",
  TIMEOUT: "is the server overloaded, or behind a firewall? See ringshift status.",
  PROTOCOL_ERROR: "is this address a memcached's?",
};

/** What has stopped a change that had begun, where its code alone does not say that. */
export class Unfinished extends Error {
  override readonly cause: RingshiftError;

  constructor(cause: RingshiftError) {
    super(cause.message);
    this.cause = cause;
  }
}

/** A change that SIGINT or SIGTERM has ended. */
export class Interrupted extends Error {}

export function describe(error: unknown): FailureDocument {
  if (error instanceof Interrupted) return { error: { code: "MIGRATION_STOPPED", message: error.message } };
  if (error instanceof CommanderError) return { error: { code: "INVALID_OPTION", message: usage(error) } };
  if (error instanceof Unfinished) return describe(error.cause);
  if (!isRingshiftError(error)) {
    return { error: { code: "INTERNAL", message: `${String(error)} (RINGSHIFT_DEBUG=1 shows where)` } };
  }
  const { code, node, key } = error;
  const hint = error.message.endsWith("?") ? undefined : HINTS[code];
  const message = hint === undefined ? error.message : `${error.message.replace(/\.$/, "")}: ${hint}`;
  return { error: { code, message, ...(node === undefined ? {} : { node }), ...(key === undefined ? {} : { key }) } };
}

/** Prints the failure (with `asJson` on stdout, else on stderr) and answers the exit code. */
export function fail(error: unknown, asJson: boolean): ExitCode {
  if (process.env.RINGSHIFT_DEBUG) console.error(error);
  const document = describe(error);
  if (asJson) json(document);
  else note(failureLine(document));
  return exitCodeOf(error);
}

export function failureLine({ error: { code, message } }: FailureDocument): string {
  return `[ERR] ${code}: ${message}`;
}

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Interrupted) return EXIT.INTERRUPTED;
  if (error instanceof Unfinished) return EXIT.INCOMPLETE;
  if (error instanceof CommanderError) return EXIT.USAGE;
  return isRingshiftError(error) ? EXIT_CODES[error.code] : EXIT.FAILED;
}

function usage(error: CommanderError): string {
  return `${error.message.replace(/^error: /, "").replaceAll("\n", " ")} (ringshift --help, ringshift COMMAND --help)`;
}
