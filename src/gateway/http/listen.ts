/** A listening port with limits on slow and idle connections, and an end that lets requests in flight finish. */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import { RingshiftError } from "../../errors.ts";
import { responseOf, writeAnswer } from "./answer.ts";
import { type AnswerMalformed, answerMalformed, malformed } from "./malformed.ts";
import { pipelined } from "./pipeline.ts";
import { HTTP_CODES, HttpProblem, problemAnswer } from "./problem.ts";
import type { DirectHandler, Env, Handler } from "./request.ts";

/** Request line and headers, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;
/** A connection that has not sent its request's headers by then is closed, in ms. */
const HEADERS_TIMEOUT_MS = 10_000;
/** From a request's first byte to its last, in ms. */
const REQUEST_TIMEOUT_MS = 30_000;
/** An idle connection is kept for this long, in ms. */
const KEEP_ALIVE_MS = 30_000;
/** How often Node looks for connections that are over their time, in ms. */
const CHECK_MS = 2_000;
const SWEEP_MS = 20;
/** A caller that takes nothing of its answer for this long is cut off, in ms; after twice the time at the latest. */
const STALLED_MS = 30_000;

const LIMITS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  connectionsCheckingInterval: CHECK_MS,
  requireHostHeader: false, // it is required in `listen`, with an answer of ours
} as const;

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** How it stands in messages and in the names of its settings: "data", "admin". */
  readonly name: string;
  /** Asked first. */
  readonly direct?: DirectHandler | undefined;
  /** The answer to what is no request. */
  readonly malformed?: AnswerMalformed | undefined;
  /** For tests: STALLED_MS. */
  readonly stalledMs?: number | undefined;
}

export interface Listening {
  readonly port: number;
  /** `http://host:port` */
  readonly url: string;
  /** Stops accepting and closes what is idle, lets what is in flight finish for `graceMs`, then closes what is left. */
  close(graceMs: number): Promise<void>;
}

/** @throws RingshiftError INVALID_OPTION when the port cannot be had */
export async function listen(handler: Handler, options: ListenOptions): Promise<Listening> {
  const { host, port, name, direct, malformed: toAnswer = problemAnswer } = options;
  const general = getRequestListener((request, env) => handler(request, env as unknown as Env), {
    hostname: host,
    errorHandler: (error) => responseOf(toAnswer(toProblem(error))),
  });
  const handle = pipelined((incoming, outgoing) => {
    const hosts = hostHeaders(incoming.rawHeaders);
    if (hosts > 1) {
      writeAnswer(outgoing, toAnswer(malformed("The request has more than one Host header.")));
    } else if (hosts === 0 && incoming.httpVersionMinor > 0) {
      writeAnswer(outgoing, toAnswer(malformed("HTTP/1.1 requires a Host header.")));
    } else if (!direct?.(incoming, outgoing)) {
      void general(incoming, outgoing);
    }
  });
  /** The answer to the last request that has come on a socket. */
  const last = new WeakMap<Socket, ServerResponse>();
  const sockets = new Set<Socket>();
  let closing = false;
  const server = createServer(LIMITS, (incoming, outgoing) => {
    last.set(incoming.socket, outgoing);
    if (closing) outgoing.shouldKeepAlive = false;
    handle(incoming, outgoing);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.timeout = options.stalledMs ?? STALLED_MS;
  // also of connections that are idle for too long; one whose answer is being made has time
  server.on("timeout", (socket) => {
    if (socket.writableLength > 0 || (last.get(socket)?.writableFinished ?? true)) socket.destroy();
  });
  answerMalformed(server, toAnswer, (socket) => last.get(socket));
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const settings = `--${name}-host and --${name}-port, or ${name}.host and ${name}.port in the configuration, say where it is`;
    const message = `The ${name} port ${host}:${port} cannot be opened: ${why}; ${settings}.`;
    throw new RingshiftError("INVALID_OPTION", message, { cause });
  }
  server.on("error", () => {}); // of single connections; the server goes on
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`,
    close: (graceMs) => {
      closing = true;
      for (const socket of sockets) {
        const outgoing = last.get(socket);
        if (outgoing !== undefined && !outgoing.headersSent)
          outgoing.shouldKeepAlive = false; // answers `Connection: close`
        else if (outgoing === undefined && socket.bytesRead === 0) socket.destroy(); // Node counts it as in use
      }
      return close(server, graceMs);
    },
  };
}

/** How many there are: `headers` shows the first one, and a program between us may go by another (RFC 9112, section 3.2). */
function hostHeaders(rawHeaders: readonly string[]): number {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts;
}

/** Of what the adapter throws: its own refusals are the caller's fault, anything else that gets here is ours. */
function toProblem(error: unknown): HttpProblem {
  if (error instanceof RequestError) return malformed("The Host header or the request's target is malformed.");
  return new HttpProblem(500, "INTERNAL", HTTP_CODES.INTERNAL);
}

async function close(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // a connection that was in use when the server closed is idle, and open, after its answer
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
  const late = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(late);
}
