/**
 * Writes to a memcached over TLS, so that what it reads never ends in the middle of a TLS record.
 *
 * memcached waits for the socket to become readable, and does not ask OpenSSL whether decrypted bytes are left over. It takes a command's
 * block of data out of the stream by its exact length; if the next command came in the same record, that would lie unread until something else
 * arrives (seen on 1.6.18: a 300 KB set with the fence get behind it is not answered). So a command with a large block ends its record, and
 * short commands go in records that fit memcached's read buffer. Node joins writes that wait for each other; hence one at a time.
 */
import type { Socket } from "node:net";
import { Fifo } from "./fifo.ts";

/** Records hold 16 KiB at most; so does memcached's read buffer. */
export const MAX_RECORD_BYTES = 16_000;

export class RecordWriter {
  readonly #socket: Socket;
  readonly #waiting = new Fifo<Buffer>();
  #writing = false;
  /** Not handed to the socket yet. */
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Each piece ends at the end of a command, and either fits a record or is one command with its data. */
  write(pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      this.#waiting.push(piece);
      this.#bytes += piece.length;
    }
    if (!this.#writing) this.#next();
  }

  #next(): void {
    const piece = this.#waiting.shift();
    this.#writing = piece !== undefined;
    if (piece === undefined) return;
    this.#socket.write(piece, (error) => {
      this.#bytes -= piece.length;
      if (error) this.#waiting.drain();
      else if (this.#waiting.length === 0 && this.#bytes === 0) {
        this.#writing = false;
        this.#socket.emit("drain"); // the connection took the waiting pieces for the socket's own
      } else this.#next();
    });
  }
}
