/**
 * How both ports say no: `application/problem+json` (RFC 9457) with ringshift's own codes.
 *
 * A code of `src/errors.ts` has one status here, and the table cannot forget one; what only HTTP knows has codes of its own below it.
 */
import { ERROR_CODES, type ErrorCode, isRingshiftError } from "../../errors.ts";
import { type Answer, responseOf } from "./answer.ts";

/** Situations that only the HTTP side knows. */
export const HTTP_CODES = {
  NOT_FOUND: "There is no value under this key, or nothing at this path.",
  METHOD_NOT_ALLOWED: "The path does not take this method.",
  PRECONDITION_FAILED: "If-Match or If-None-Match does not hold. Nothing was changed.",
  NOT_ACCEPTABLE: "Accept takes neither JSON nor the type the value was stored with.",
  UNSUPPORTED_ENCODING: "The request's body has a Content-Encoding.",
  UNAUTHORIZED: "The change needs the bearer token of RINGSHIFT_ADMIN_TOKEN.",
  FORBIDDEN: "The request is refused: it comes from another site, or this port was started without a token.",
  RATE_LIMITED: "Too many requests from this address.",
  TOO_MANY_LISTENERS: "As many listen to /events as may.",
  MALFORMED_REQUEST: "The bytes are no HTTP request that this port takes, or its head is longer than 16 KiB.",
  INTERNAL: "The gateway failed; its log says how.",
} as const satisfies Record<string, string>;

export type ProblemCode = ErrorCode | keyof typeof HTTP_CODES;

const STATUS: Readonly<Record<ErrorCode, number>> = {
  INVALID_KEY: 400,
  INVALID_VALUE: 400,
  INVALID_TTL: 400,
  INVALID_OPTION: 400,
  VALUE_TOO_LARGE: 413,
  NOT_NUMERIC: 409,

  NODE_DOWN: 503,
  TIMEOUT: 503,
  AMBIGUOUS_WRITE: 504,
  SERVER_ERROR: 503,
  PROTOCOL_ERROR: 502,
  QUEUE_FULL: 503,
  AUTH_FAILED: 502,
  CLOSED: 503,

  CLUSTER_MANAGED: 409,
  CONFIG_MISMATCH: 409,
  NOT_INITIALISED: 503,
  ALREADY_INITIALISED: 409,
  UNSUPPORTED_DOCUMENT: 503,
  REDIS_UNREACHABLE: 503,
  REDIS_EVICTS: 409,
  UNCONFIRMED: 503,

  NODE_EXISTS: 409,
  NODE_UNKNOWN: 404,
  NODE_NOT_EMPTY: 409,
  NODE_ADDRESS: 400,
  LAST_NODE: 409,
  CAS_DISABLED: 409,
  VERSION_TOO_OLD: 409,
  META_REQUIRED: 409,
  PROXY: 409,
  WOULD_NOT_FIT: 409,
  MIGRATION_RUNNING: 409,
  MIGRATION_STOPPED: 409,

  ABORTED: 409,
  NOT_SUPPORTED: 400,
};

/** Seconds after which a caller may try again, where waiting helps. */
const RETRY_AFTER_S = "1";

/** What a handler throws to answer a problem. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly code: ProblemCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ProblemCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "HttpProblem";
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** The JSON of a problem. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ProblemCode;
  /** Name of the Memcached node concerned. */
  readonly node?: string;
}

/** What the error is to a caller. Errors that are nobody's but ours show no detail. */
export function problemOf(error: unknown): ProblemDocument {
  if (error instanceof HttpProblem) return document(error.status, error.code, error.message);
  if (!isRingshiftError(error)) return document(500, "INTERNAL", HTTP_CODES.INTERNAL);
  return document(STATUS[error.code] ?? 500, error.code, error.message, error.node);
}

/** The answer to a request that failed with `error`, with `headers` besides. */
export function problemAnswer(error: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  const problem = problemOf(error);
  return {
    status: problem.status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(problem.status === 503 ? { "retry-after": RETRY_AFTER_S } : {}),
      ...(error instanceof HttpProblem ? error.headers : {}),
      ...headers,
    },
    body: JSON.stringify(problem),
  };
}

/** `problemAnswer` as a `Response`. */
export function problemResponse(error: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return responseOf(problemAnswer(error, headers));
}

function document(status: number, code: ProblemCode, detail: string, node?: string): ProblemDocument {
  const texts: Readonly<Record<string, string>> = { ...ERROR_CODES, ...HTTP_CODES };
  return {
    type: `urn:ringshift:error:${code}`,
    title: texts[code] ?? code,
    status,
    detail,
    code,
    ...(node === undefined ? {} : { node }),
  };
}
