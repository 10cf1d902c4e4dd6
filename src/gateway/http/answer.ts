/** An answer before it takes the form of the web's `Response` or of Node's `ServerResponse`. */
import type { ServerResponse } from "node:http";

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Null: none. */
  readonly body: string | Uint8Array<ArrayBuffer> | null;
}

export function responseOf({ status, headers, body }: Answer): Response {
  return new Response(body, { status, headers });
}

/** As for HEAD. */
export function withoutBody({ status, headers, body }: Answer): Answer {
  if (body === null) return { status, headers, body };
  return { status, headers: { ...headers, "content-length": String(Buffer.byteLength(body)) }, body: null };
}

/** Sends the answer to a GET. */
export function writeAnswer(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  const { socket } = outgoing;
  if (body === null) {
    outgoing.writeHead(status, headers).end();
    return;
  }
  outgoing.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  if (typeof body !== "string" || socket === null) {
    outgoing.end(body);
    return;
  }
  // Head and text are one chunk, and one `write`. `end(body)` appends an empty chunk and so takes a `writev`, which costs a tenth more CPU.
  socket.cork();
  outgoing.write(body);
  socket.uncork();
  outgoing.end();
}
