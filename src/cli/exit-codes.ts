/** What the program ends with. Every error code has one exit code, and the table cannot forget one. */
import type { ErrorCode } from "../errors.ts";

export const EXIT = {
  DONE: 0,
  FAILED: 1,
  /** The command line, or what it asks for, or the configuration of a server is at fault; nothing was changed. */
  USAGE: 2,
  /** A change has begun and not ended; the same command resumes it. */
  INCOMPLETE: 3,
  /** Redis or a Memcached server cannot be reached. */
  UNREACHABLE: 4,
  /** The cluster serves, but not as it should: a node is down, the topology is unconfirmed. */
  UNHEALTHY: 5,
  /** Another change is under way. */
  BUSY: 6,
  /** SIGINT or SIGTERM. */
  INTERRUPTED: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES: Readonly<Record<ErrorCode, ExitCode>> = {
  INVALID_KEY: EXIT.USAGE,
  INVALID_VALUE: EXIT.USAGE,
  INVALID_TTL: EXIT.USAGE,
  INVALID_OPTION: EXIT.USAGE,
  VALUE_TOO_LARGE: EXIT.USAGE,
  NOT_NUMERIC: EXIT.FAILED,

  NODE_DOWN: EXIT.UNREACHABLE,
  TIMEOUT: EXIT.UNREACHABLE,
  AMBIGUOUS_WRITE: EXIT.FAILED,
  SERVER_ERROR: EXIT.FAILED,
  PROTOCOL_ERROR: EXIT.FAILED,
  AUTH_FAILED: EXIT.USAGE,
  QUEUE_FULL: EXIT.FAILED,
  CLOSED: EXIT.FAILED,
  ABORTED: EXIT.INTERRUPTED,
  NOT_SUPPORTED: EXIT.USAGE,

  CLUSTER_MANAGED: EXIT.USAGE,
  CONFIG_MISMATCH: EXIT.USAGE,
  NOT_INITIALISED: EXIT.USAGE,
  ALREADY_INITIALISED: EXIT.USAGE,
  UNSUPPORTED_DOCUMENT: EXIT.USAGE,
  REDIS_UNREACHABLE: EXIT.UNREACHABLE,
  REDIS_EVICTS: EXIT.USAGE,
  UNCONFIRMED: EXIT.UNHEALTHY,

  NODE_EXISTS: EXIT.USAGE,
  NODE_UNKNOWN: EXIT.USAGE,
  NODE_NOT_EMPTY: EXIT.USAGE,
  NODE_ADDRESS: EXIT.USAGE,
  LAST_NODE: EXIT.USAGE,
  CAS_DISABLED: EXIT.USAGE,
  VERSION_TOO_OLD: EXIT.USAGE,
  META_REQUIRED: EXIT.USAGE,
  PROXY: EXIT.USAGE,
  WOULD_NOT_FIT: EXIT.USAGE, // refused beforehand; INCOMPLETE under way, see failure.ts
  MIGRATION_RUNNING: EXIT.BUSY,
  MIGRATION_STOPPED: EXIT.INCOMPLETE,
};
