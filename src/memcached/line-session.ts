/**
 * A short-lived connection for the commands that answer in lines (version, stats, metadump), apart from the links: they are slow,
 * rare, and not the meta protocol.
 *
 * Lines are taken off the socket as fast as they come and kept here. The server must never wait for us: a memcached whose metadump
 * client does not read for a second sends part of its buffer again, or ends the dump early.
 */
import type { Socket } from "node:net";
import { RingshiftError } from "../errors.ts";
import { authCommand, openSocket, type ServerAccess } from "./access.ts";
import { parseAddress } from "./address.ts";
import { Fifo } from "./fifo.ts";

/** Bytes of unread lines after which the session gives up. */
export const MAX_BACKLOG_BYTES = 512 * 1024 * 1024;
const MAX_LINE_BYTES = 64 * 1024;

export interface LineOptions {
  /** For connecting, and for every line that is waited for. Default 2000. */
  readonly timeoutMs?: number | undefined;
  /** For the whole session. Default: as long as lines come. */
  readonly totalMs?: number | undefined;
  readonly access?: ServerAccess | undefined;
  /** Ends the session: CLOSED. */
  readonly signal?: AbortSignal | undefined;
}

export class LineSession {
  readonly #address: string;
  readonly #timeoutMs: number;
  readonly #socket: Socket;
  /** What was received in whole lines, each chunk its lines joined by LF. */
  readonly #chunks = new Fifo<string>();
  #backlogBytes = 0;
  /** Lines of the chunk that is being read, and the next one's index. */
  #lines: string[] = [];
  #next = 0;
  #cut = "";
  /** What is sent before our authentication is answered: memcached takes nothing else before a metadump on one connection. */
  #held: string[] | undefined;
  #failure: RingshiftError | undefined;
  #wake: (() => void) | undefined;
  readonly #total: NodeJS.Timeout | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#fail("CLOSED", "the client was closed");

  /** Connects at once; failures show at the first `line()`. @throws RingshiftError NODE_ADDRESS */
  constructor(address: string, options: LineOptions = {}) {
    this.#address = address;
    this.#timeoutMs = options.timeoutMs ?? 2000;
    const { access = {}, totalMs, signal } = options;
    this.#signal = signal;
    this.#socket = openSocket(parseAddress(address), access);
    if (totalMs !== undefined) {
      this.#total = setTimeout(() => this.#fail("TIMEOUT", `no full answer within ${totalMs} ms`), totalMs);
    }
    if (access.auth !== undefined) {
      const { line, data } = authCommand(access.auth);
      this.#held = [];
      this.#socket.write(Buffer.concat([Buffer.from(`${line}\r\n`), data!, Buffer.from("\r\n")]));
    }
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("error", (error) => this.#fail("NODE_DOWN", error.message || error.name, error));
    this.#socket.on("end", () => this.#fail("NODE_DOWN", "the server closed the connection"));
    this.#socket.on("close", () => this.#fail("NODE_DOWN", "the connection was closed"));
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener("abort", this.#onAbort);
  }

  send(line: string): void {
    if (this.#held === undefined) this.#socket.write(`${line}\r\n`, "latin1");
    else this.#held.push(line);
  }

  /**
   * The next line without its end.
   * @param waitMs instead of the session's timeout, where the server may think for longer
   * @throws RingshiftError NODE_DOWN, TIMEOUT, or CLOSED by the session's signal
   */
  async line(waitMs = this.#timeoutMs): Promise<string> {
    if (this.#held !== undefined) {
      const held = this.#held;
      this.#held = undefined;
      const answer = await this.line();
      if (answer !== "STORED") throw this.error("AUTH_FAILED", `authentication was answered: ${answer.slice(0, 100)}`);
      for (const line of held) this.send(line);
    }
    while (this.#next === this.#lines.length) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#backlogBytes -= chunk.length;
        this.#lines = chunk.split("\n");
        this.#next = 0;
      } else if (this.#failure !== undefined) {
        throw this.#failure;
      } else {
        await this.#more(waitMs);
      }
    }
    const line = this.#lines[this.#next++] as string;
    return line.endsWith("\r") ? line.slice(0, -1) : line;
  }

  /** A line that is here already, without the cost of a promise; undefined where `line()` must be asked. */
  lineAtHand(): string | undefined {
    if (this.#held !== undefined || this.#next === this.#lines.length) return undefined;
    const line = this.#lines[this.#next++] as string;
    return line.endsWith("\r") ? line.slice(0, -1) : line;
  }

  /** Sends a command and reads up to and including the `last` line, or an error line. */
  async ask(command: string, isLast: (line: string) => boolean): Promise<string[]> {
    this.send(command);
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      lines.push(line);
      if (isLast(line) || isErrorLine(line)) return lines;
    }
  }

  close(): void {
    clearTimeout(this.#total);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#socket.destroy();
    this.#chunks.drain();
  }

  error(code: RingshiftError["code"], what: string, cause?: unknown): RingshiftError {
    return new RingshiftError(code, `${this.#address}: ${what}`, { node: this.#address, cause });
  }

  #onData(chunk: Buffer): void {
    const text = this.#cut + chunk.toString("latin1");
    const end = text.lastIndexOf("\n");
    this.#cut = text.slice(end + 1);
    if (this.#cut.length > MAX_LINE_BYTES) {
      this.#fail("PROTOCOL_ERROR", "the server sent a line without end");
      return;
    }
    if (end === -1) return;
    this.#chunks.push(text.slice(0, end));
    this.#backlogBytes += end;
    if (this.#backlogBytes > MAX_BACKLOG_BYTES) {
      this.#fail("QUEUE_FULL", `more than ${MAX_BACKLOG_BYTES} bytes of its answer wait to be worked on`);
    }
    this.#wake?.();
  }

  async #more(waitMs: number): Promise<void> {
    const timer = setTimeout(() => this.#fail("TIMEOUT", `no answer within ${waitMs} ms`), waitMs);
    try {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    } finally {
      clearTimeout(timer);
      this.#wake = undefined;
    }
  }

  #fail(code: RingshiftError["code"], what: string, cause?: unknown): void {
    this.#failure ??= this.error(code, what, cause);
    this.#socket.destroy();
    this.#wake?.();
  }
}

export function isErrorLine(line: string): boolean {
  return line.startsWith("ERROR") || line.startsWith("CLIENT_ERROR") || line.startsWith("SERVER_ERROR");
}
