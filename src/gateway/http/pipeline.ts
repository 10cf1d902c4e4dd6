/**
 * Requests that a caller sends without waiting for answers: how many of them are worked on, and how much is kept for who does not read.
 *
 *   request ─┬─ nothing before it on its socket ──────────────────────────────► handler     (nearly all)
 *            └─ behind another ─► waits ─► AHEAD at most, MAX_UNSENT not reached ─► handler
 *                                   └─ MAX_WAITING of them: the socket is not read
 *
 * Node holds answers until those before them are sent, and stops reading then; but one chunk of bytes holds a thousand requests, each of
 * which may ask for the largest value there is. One whose turn has come is handled in any case, so the line moves on.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Of one socket, behind the one whose turn it is. */
const AHEAD = 8;
/** Bytes of answers that a socket has not taken. */
const MAX_UNSENT = 256 * 1024;
const MAX_WAITING = 64;

export type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/** The listener, held to the bounds. */
export function pipelined(handle: Listener): Listener {
  const lines = new WeakMap<Socket, Line>();
  return (incoming, outgoing) => {
    // Node gives a response its socket when those before it are sent
    if (outgoing.socket !== null) {
      handle(incoming, outgoing);
      return;
    }
    const { socket } = incoming;
    let line = lines.get(socket);
    if (line === undefined) {
      line = new Line(socket, handle);
      lines.set(socket, line);
    }
    line.add(incoming, outgoing);
  };
}

/** The requests of one socket behind the one whose turn it is. */
class Line {
  readonly #socket: Socket;
  readonly #handle: Listener;
  #waiting: (readonly [IncomingMessage, ServerResponse])[] = [];
  /** Handled, and not sent yet. */
  readonly #ahead = new Set<ServerResponse>();

  constructor(socket: Socket, handle: Listener) {
    this.#socket = socket;
    this.#handle = handle;
    // Node reads on when an answer has left; with so many waiting it is too early
    socket.on("resume", () => {
      if (this.#waiting.length >= MAX_WAITING) socket.pause();
    });
  }

  add(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.#waiting.push([incoming, outgoing]);
    outgoing.once("socket", () => this.#advance());
    this.#advance();
    if (this.#waiting.length >= MAX_WAITING) this.#socket.pause();
  }

  #advance(): void {
    if (this.#socket.destroyed) this.#waiting = [];
    const full = this.#waiting.length >= MAX_WAITING;
    for (let next = this.#waiting[0]; next !== undefined && this.#mayBegin(next[1]); next = this.#waiting[0]) {
      this.#waiting.shift();
      const [incoming, outgoing] = next;
      this.#ahead.add(outgoing);
      outgoing.once("close", () => {
        this.#ahead.delete(outgoing);
        this.#advance();
      });
      this.#handle(incoming, outgoing);
    }
    if (full && this.#waiting.length < MAX_WAITING) this.#socket.resume();
  }

  #mayBegin(outgoing: ServerResponse): boolean {
    if (outgoing.socket !== null) return true;
    if (this.#ahead.size >= AHEAD) return false;
    let unsent = this.#socket.writableLength;
    for (const { writableLength } of this.#ahead) unsent += writableLength;
    return unsent <= MAX_UNSENT;
  }
}
