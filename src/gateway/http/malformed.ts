/**
 * What never becomes a request: Node's parser or Hono's adapter refuses it, and would answer without a word of ours.
 *
 *   bytes ─► parser ─✗ bad HTTP, a head that is too long or too slow ─┐
 *               └──► Expect ─✗ unknown ───────────────────────────────┼─► the port's own problem, and its headers
 *                      └──► adapter ─✗ Host, target ──────────────────┘
 */
import { type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type Answer, writeAnswer } from "./answer.ts";
import { HttpProblem } from "./problem.ts";

/** A caller that does not close after its answer is cut off after this, in ms. */
const LINGER_MS = 1_000;

export type AnswerMalformed = (problem: HttpProblem) => Answer;

export function malformed(what: string, status = 400): HttpProblem {
  return new HttpProblem(status, "MALFORMED_REQUEST", what);
}

/** Answers what the server's parser refuses. */
export function answerMalformed(server: Server, answer: AnswerMalformed): void {
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    if (!socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    socket.end(textOf(answer(problemOf(error.code))));
    socket.resume(); // or what was sent and not read resets the connection, and with it the answer
    socket.setTimeout(LINGER_MS, () => socket.destroy());
  });
  server.on("checkExpectation", (_, outgoing) => writeAnswer(outgoing, answer(malformed("Unknown Expect.", 417))));
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
