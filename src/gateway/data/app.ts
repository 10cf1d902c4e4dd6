/**
 * The data port: keys over HTTP. `GET HEAD POST PUT DELETE /{key}`, and batches at `/` (docs/gateway.md).
 *
 *   target as sent ─► key checked ─► method ─► client ─► answer, with the headers about the cluster
 *
 * A function from Request to Response: it needs no port.
 */
import { isRingshiftError } from "../../errors.ts";
import type { Cache } from "../cache.ts";
import type { ClusterHeaders } from "../cluster-headers.ts";
import { type Answer, responseOf, withoutBody } from "../http/answer.ts";
import { HttpProblem, problemAnswer, problemResponse } from "../http/problem.ts";
import { type Env, type Handler, headerOf, targetOf } from "../http/request.ts";
import { refuseOtherSites } from "../http/same-origin.ts";
import { batch } from "./batch.ts";
import { keyOf } from "./key.ts";
import { miss, readAnswer } from "./read.ts";
import { queryOf, refuseUnknown } from "./ttl.ts";
import { remove, store } from "./write.ts";

export interface DataAppOptions {
  /** The embedded client; another one after its options changed. */
  readonly cache: () => Cache;
  readonly headers: ClusterHeaders;
  /** Longest body of a request, in bytes. */
  readonly maxBody: number;
  /** Called after each answer. `error` is what the answer came from, when it is a problem; `batch`: the request was one of many keys. */
  readonly onAnswer?:
    | ((method: string, status: number, ms: number, error?: unknown, batch?: boolean) => void)
    | undefined;
}

const METHODS = "GET, HEAD, POST, PUT, DELETE";
const BATCH_METHODS = "GET, HEAD, POST";

export function createDataApp(options: DataAppOptions): Handler {
  const { onAnswer } = options;
  return async (request, env) => {
    const begun = performance.now();
    let failure: unknown;
    const response = await answer(options, request, env).catch((error: unknown) => {
      failure = error;
      return problemResponse(error, headersOfFailure(options, request, env, error));
    });
    const batch = isRoot(targetOf(request, env));
    onAnswer?.(request.method, response.status, performance.now() - begun, failure, batch);
    return response;
  };
}

async function answer(options: DataAppOptions, request: Request, env: Env | undefined): Promise<Response> {
  const target = targetOf(request, env);
  const cache = options.cache();
  const { method } = request;
  if (method === "GET" || method === "HEAD") {
    if (isRoot(target)) return answerBatch(options, cache, request, target);
    const key = keyOf(target);
    refuseUnknown(queryOf(target), [], "a read of one key takes none");
    return read(options, cache, request, env, key);
  }
  refuseOtherSites(request);
  if (!/^(?:identity)?$/i.test(request.headers.get("content-encoding") ?? "")) throw encoded();
  if (isRoot(target)) {
    return method === "POST" ? answerBatch(options, cache, request, target) : notAllowed(BATCH_METHODS);
  }
  const key = keyOf(target);
  const index = cache.indexOf(key); // the key's bytes are checked here, before the body is read
  const write = { request, target, key, maxBody: options.maxBody };
  switch (method) {
    case "POST":
    case "PUT":
      await store(cache, write);
      return new Response('{"stored":true}', { status: 201, headers: jsonHeaders(options.headers.for(index)) });
    case "DELETE":
      if (!(await remove(cache, write))) throw miss();
      return new Response(null, { status: 204, headers: options.headers.for(index) });
    default:
      return notAllowed(METHODS);
  }
}

async function read(
  options: DataAppOptions,
  cache: Cache,
  request: Request,
  env: Env | undefined,
  key: string,
): Promise<Response> {
  const reading = await cache.read(key);
  const asked = { accept: headerOf(request, env, "accept"), ifNoneMatch: headerOf(request, env, "if-none-match") };
  const answer = readAnswer(reading, options.headers, asked);
  return responseOf(request.method === "HEAD" ? withoutBody(answer) : answer);
}

async function answerBatch(options: DataAppOptions, cache: Cache, request: Request, target: string): Promise<Response> {
  const { status, body, keys } = await batch(cache, request, target, options.maxBody);
  const indexes = [...new Set(keys.map((key) => cache.indexOf(key)))].sort((a, b) => a - b);
  const answer = { status, headers: jsonHeaders(options.headers.for(indexes.join(","))), body };
  return responseOf(request.method === "HEAD" ? withoutBody(answer) : answer);
}

function jsonHeaders(headers: Record<string, string>): Record<string, string> {
  headers["content-type"] = "application/json";
  return headers;
}

/** The answer to what is no request: bad HTTP, a bad Host. */
export function malformedAnswer({ headers, onAnswer }: DataAppOptions): (problem: HttpProblem) => Answer {
  return (problem) => {
    onAnswer?.("other", problem.status, 0, problem);
    return problemAnswer(problem, headers.for(""));
  };
}

/** The headers of a failed request; with the node that the key is on, where there is a key. */
function headersOfFailure(
  options: DataAppOptions,
  request: Request,
  env: Env | undefined,
  error: unknown,
): Readonly<Record<string, string>> {
  if (isRingshiftError(error, "INVALID_KEY")) return options.headers.for("");
  const target = targetOf(request, env);
  if (isRoot(target)) return options.headers.for("");
  try {
    return options.headers.for(options.cache().indexOf(keyOf(target)));
  } catch {
    return options.headers.for("");
  }
}

function isRoot(target: string): boolean {
  return target === "/" || target.startsWith("/?");
}

function notAllowed(methods: string): never {
  throw new HttpProblem(405, "METHOD_NOT_ALLOWED", `This path takes ${methods}.`, { allow: methods });
}

/** Stored with its body it would have to come back with it, and nothing in the value says so. */
function encoded(): HttpProblem {
  const detail =
    "A body is stored as it is, without its Content-Encoding: send it uncompressed, or as a type of its own.";
  return new HttpProblem(415, "UNSUPPORTED_ENCODING", detail, { "accept-encoding": "identity" });
}
