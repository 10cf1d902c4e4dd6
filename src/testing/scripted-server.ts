/**
 * A TCP server in this process that answers Memcached requests by a script, faults included: for what a real memcached does not do on
 * demand. It understands requests just enough to cut them apart; what comes back is the script's business.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What to do next on a connection. Steps of one connection happen in order. */
export type Step =
  /** Sends bytes (text is latin1), cut into pieces of so many bytes where asked, each its own segment as far as the network lets it. */
  | { readonly send: string | Buffer; readonly pieces?: number }
  | { readonly delayMs: number }
  /** Waits for a promise of the test's. */
  | { readonly until: Promise<unknown> }
  /** Reads nothing more, so that what the client sends fills up the sockets. */
  | { readonly stopReading: true }
  /** RST. */
  | { readonly reset: true }
  /** FIN, and what the client still sends is read and dropped. */
  | { readonly end: true }
  /** Answers nothing from now on, and leaves the connection open. */
  | { readonly hang: true };

export interface ScriptedRequest {
  /** Index of the connection, from 0. */
  readonly connection: number;
  readonly line: string;
  /** The data block of a storage command. */
  readonly data: Buffer | undefined;
}

export type Script = (request: ScriptedRequest) => readonly Step[];

const STORAGE = new Map([
  ["ms", 2],
  ["set", 4],
  ["add", 4],
  ["replace", 4],
  ["append", 4],
  ["prepend", 4],
  ["cas", 4],
]);

/** As an empty memcached would: `EN`, `MN`, `HD` for `ms`, `NF` for `md`; everything else is `ERROR`. */
export function answerEmpty({ line }: ScriptedRequest): readonly Step[] {
  const answers: Record<string, string> = { mg: "EN", mn: "MN", ms: "HD", md: "NF", version: "VERSION 1.6.99" };
  return [{ send: `${answers[line.split(" ", 1)[0] ?? ""] ?? "ERROR"}\r\n` }];
}

export class ScriptedServer {
  /** All requests so far, in order of arrival. */
  readonly requests: ScriptedRequest[] = [];
  /** What answers the next requests; may be replaced at any time. */
  script: Script;
  /** Done as soon as a client connects. */
  greeting: readonly Step[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #connections = 0;

  private constructor(script: Script) {
    this.script = script;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Listens on a loopback port, a free one unless named. */
  static async listen(script: Script = answerEmpty, port = 0): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(script);
    await new Promise<void>((resolve, reject) => {
      scripted.#server.once("error", reject);
      scripted.#server.listen(port, "127.0.0.1", resolve);
    });
    return scripted;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Closes the port and every connection. */
  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    const connection = this.#connections++;
    const input = new RequestCutter();
    let last = this.#perform(socket, this.greeting, Promise.resolve(true));
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("end", () => socket.end());
    socket.on("data", (chunk: Buffer) => {
      for (const cut of input.push(chunk)) {
        const request: ScriptedRequest = { connection, ...cut };
        this.requests.push(request);
        last = this.#perform(socket, this.script(request), last);
      }
    });
  }

  /** Resolves with false when nothing more is to happen on the connection. */
  async #perform(socket: Socket, steps: readonly Step[], before: Promise<boolean>): Promise<boolean> {
    if (!(await before)) return false;
    for (const step of steps) {
      if (socket.destroyed) return false;
      if ("send" in step) await sendPieces(socket, step.send, step.pieces);
      else if ("delayMs" in step) await sleep(step.delayMs);
      else if ("until" in step) await step.until;
      else if ("stopReading" in step) socket.pause();
      else if ("hang" in step) return false;
      else if ("reset" in step) {
        socket.resetAndDestroy();
        return false;
      } else {
        socket.end();
        return false;
      }
    }
    return true;
  }
}

async function sendPieces(socket: Socket, what: string | Buffer, size?: number): Promise<void> {
  const bytes = typeof what === "string" ? Buffer.from(what, "latin1") : what;
  for (let at = 0; at < bytes.length && socket.writable; at += size ?? bytes.length) {
    socket.write(bytes.subarray(at, at + (size ?? bytes.length)));
    if (size !== undefined) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Cuts a byte stream into requests. */
class RequestCutter {
  #chunks: Buffer[] = [];
  #length = 0;
  /** Bytes without which the next request is known to be incomplete. */
  #needed = 0;

  push(chunk: Buffer): Omit<ScriptedRequest, "connection">[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const requests: Omit<ScriptedRequest, "connection">[] = [];
    if (this.#length < this.#needed) return requests;
    let bytes = Buffer.concat(this.#chunks);
    for (;;) {
      const end = bytes.indexOf("\r\n");
      this.#needed = end === -1 ? bytes.length + 1 : end + 2;
      if (end === -1) break;
      const line = bytes.toString("latin1", 0, end);
      const words = line.split(" ");
      const sizeAt = STORAGE.get(words[0] ?? "");
      if (sizeAt !== undefined) this.#needed += Number(words[sizeAt]) + 2;
      if (bytes.length < this.#needed) break;
      requests.push({ line, data: sizeAt === undefined ? undefined : bytes.subarray(end + 2, this.#needed - 2) });
      bytes = bytes.subarray(this.#needed);
    }
    this.#chunks = [bytes];
    this.#length = bytes.length;
    return requests;
  }
}
