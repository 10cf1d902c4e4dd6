/**
 * The one error class of ringshift, and what each of its codes means.
 *
 * A miss is never an error, and an infrastructure failure never looks like a miss. Callers check `code`; the message says what to do.
 */

/** Every code with the situation it stands for. The text is what `docs/errors.md` and a reader of the source go by. */
export const ERROR_CODES = {
  // the caller's input; nothing was sent
  INVALID_KEY:
    "The key is empty, longer than 250 bytes with its prefix, holds blanks or control characters, or is reserved.",
  INVALID_VALUE: "The value cannot be stored: undefined, a function, a symbol, or something JSON cannot express.",
  INVALID_TTL: "The TTL is not a finite number of seconds, 0 or more.",
  INVALID_OPTION: "An option or argument is unknown, contradictory or out of its range.",
  VALUE_TOO_LARGE: "The item does not fit the server's item size limit. The value that was there is untouched.",
  NOT_NUMERIC: "incr or decr met a value that is not an unsigned decimal number. The value is untouched.",
  // talking to servers
  NODE_DOWN: "A Memcached server cannot be reached. Nothing was sent, or the operation was a read.",
  TIMEOUT: "A read, or a write of which nothing was sent, did not finish within its time.",
  AMBIGUOUS_WRITE: "The write was sent but cannot be confirmed: it may have taken effect or not. Read, or write again.",
  SERVER_ERROR: "Memcached answered SERVER_ERROR (out of memory under -M, for example).",
  PROTOCOL_ERROR: "A server's answer is not the Memcached protocol, or refuses a command that it should know.",
  AUTH_FAILED: "A server refuses the username and password.",
  QUEUE_FULL: "More commands wait for this server than the queue takes. Nothing was sent.",
  CLOSED: "The client was closed by quit(), or an operator's handle by close().",
  ABORTED: "The caller's AbortSignal ended the call. A write may have taken effect all the same.",
  NOT_SUPPORTED: "The transport cannot do this; see the table in docs/commands.md.",
  // the cluster and its topology
  CLUSTER_MANAGED: "A client without Redis met a server that a ringshift cluster manages.",
  CONFIG_MISMATCH: "The client's options contradict the topology document.",
  NOT_INITIALISED: "Redis knows no cluster under this namespace, and no servers were given to start one.",
  ALREADY_INITIALISED: "Redis already knows a cluster under this namespace.",
  UNSUPPORTED_DOCUMENT: "The topology document was written by a newer ringshift.",
  REDIS_UNREACHABLE: "Redis cannot be reached, or answers errors.",
  REDIS_EVICTS: "Redis has an eviction policy that could drop the topology or the key index.",
  UNCONFIRMED: "Redis failed over or restarted and the topology is not confirmed yet.",
  // changing the cluster
  NODE_EXISTS: "The node is in the cluster already.",
  NODE_UNKNOWN: "No node of the cluster has this name.",
  NODE_NOT_EMPTY: "The server holds keys already.",
  NODE_ADDRESS:
    "The address cannot be used for one node: malformed, not resolvable, or several addresses behind one name.",
  LAST_NODE: "The last node cannot be removed.",
  CAS_DISABLED: "The server runs without CAS (memcached -C).",
  VERSION_TOO_OLD: "The server is older than memcached 1.6.13.",
  META_REQUIRED: "The server does not speak the meta protocol.",
  PROXY: "The server looks like a proxy, not like a memcached.",
  WOULD_NOT_FIT: "A destination could not store what would move to it.",
  MIGRATION_RUNNING: "Another change of the cluster is under way.",
  MIGRATION_STOPPED: "The change stopped before its end; the cluster serves, and the same command resumes it.",
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetails {
  /** Name of the Memcached node concerned. */
  readonly node?: string | undefined;
  /** The key concerned, as the caller gave it. */
  readonly key?: string | undefined;
  readonly cause?: unknown;
  /** Of a multi form: every key that failed, with its own error. */
  readonly failed?: ReadonlyMap<string, RingshiftError> | undefined;
}

/** What every rejection of ringshift is an instance of. */
export class RingshiftError extends Error {
  readonly code: ErrorCode;
  readonly node: string | undefined;
  readonly key: string | undefined;
  /** Of a multi form: every key that failed, with its own error, whose `node` says where. Else undefined. */
  readonly failed: ReadonlyMap<string, RingshiftError> | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "RingshiftError";
    this.code = code;
    this.node = details.node;
    this.key = details.key;
    this.failed = details.failed;
  }
}

/** What somebody has asked for cannot be: the message names the option, and what it takes. */
export function invalidOption(message: string): RingshiftError {
  return new RingshiftError("INVALID_OPTION", message);
}

/** What somebody has given, as a message names it; of whatever kind, for some have no text of their own (symbols, objects without a prototype). */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** True for a RingshiftError, of the given code when one is given. */
export function isRingshiftError(error: unknown, code?: ErrorCode): error is RingshiftError {
  return error instanceof RingshiftError && (code === undefined || error.code === code);
}
