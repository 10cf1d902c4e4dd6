/**
 * What never becomes a request: Node's parser or Hono's adapter refuses it, and would answer without a word of ours.
 *
 *   bytes ─► parser ─✗ bad HTTP, a head that is too long or too slow ─┐
 *               └──► Expect ─✗ unknown ───────────────────────────────┼─► the port's own problem, and its headers
 *                      └──► adapter ─✗ Host, target ──────────────────┘
 */
import { type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type Answer, writeAnswer } from "./answer.ts";
import { HttpProblem } from "./problem.ts";

/** A caller that does not close after its answer is cut off after this, in ms. */
const LINGER_MS = 1_000;

export type AnswerMalformed = (problem: HttpProblem) => Answer;

export function malformed(what: string, status = 400): HttpProblem {
  return new HttpProblem(status, "MALFORMED_REQUEST", what);
}

/**
 * Answers what the server's parser refuses. On a socket with a request that has come whole and is being worked on, the bytes behind it get
 * no answer of their own: the caller would take it for that request's, which is stored or read all the same. The connection ends after it.
 * @param last the response to the last request that has come on the socket
 */
export function answerMalformed(
  server: Server,
  answer: AnswerMalformed,
  last: (socket: Socket) => ServerResponse | undefined,
): void {
  /** Their end is decided; the parser fails anew with every chunk. */
  const ending = new WeakSet<Socket>();
  const end = (socket: Socket, code: string | undefined): void => {
    const outgoing = last(socket);
    if (outgoing === undefined || outgoing.writableFinished) {
      refuse(socket, answer(problemOf(code)));
    } else if (outgoing.req.complete || outgoing.headersSent) {
      outgoing.shouldKeepAlive = false; // answers `Connection: close`
      outgoing.once("finish", () => socket.destroySoon());
    } else if (outgoing.socket === null) {
      outgoing.once("socket", () => end(socket, code)); // answers of requests before it are not sent yet
    } else {
      refuse(socket, answer(problemOf(code)));
    }
  };
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    if (!socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    if (ending.has(socket)) return;
    ending.add(socket);
    end(socket, error.code);
  });
  server.on("checkExpectation", (_, outgoing) => writeAnswer(outgoing, answer(malformed("Unknown Expect.", 417))));
}

function refuse(socket: Socket, answer: Answer): void {
  socket.end(textOf(answer));
  socket.resume(); // or what was sent and not read resets the connection, and with it the answer
  socket.setTimeout(LINGER_MS, () => socket.destroy());
}

function problemOf(code: string | undefined): HttpProblem {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return malformed("The request did not arrive in time.", 408);
  if (code === "HPE_HEADER_OVERFLOW") return malformed("The request line and the headers are too long.");
  return malformed("This is no HTTP request.");
}

function textOf({ status, headers, body }: Answer): string {
  const lines = Object.entries({
    ...headers,
    date: new Date().toUTCString(),
    connection: "close",
    "content-length": String(Buffer.byteLength(body ?? "")),
  });
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body ?? ""}`;
}
