/** Ready bytes out, so many bytes back: what the floors and their preparations talk to a server with. */
import { connect, type Socket } from "node:net";

/** One connection whose replies come back in order and have known lengths. */
export class Pipe {
  readonly #socket: Socket;
  readonly #waiting: { readonly reply: Buffer; at: number; readonly resolve: (reply: Buffer) => void }[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
  }

  static open(address: string): Promise<Pipe> {
    const [host, port] = address.split(":");
    return new Promise((resolve, reject) => {
      const socket = connect({ host: host!, port: Number(port), noDelay: true }, () => resolve(new Pipe(socket)));
      socket.once("error", reject);
    });
  }

  send(bytes: Buffer, replyBytes: number): Promise<Buffer> {
    this.#socket.write(bytes);
    return new Promise((resolve) => this.#waiting.push({ reply: Buffer.allocUnsafe(replyBytes), at: 0, resolve }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    for (let from = 0; from < chunk.length; ) {
      const next = this.#waiting[0]!;
      const copied = chunk.copy(next.reply, next.at, from);
      next.at += copied;
      from += copied;
      if (next.at < next.reply.length) return;
      this.#waiting.shift();
      next.resolve(next.reply);
    }
  }
}

const FILL_BATCH_BYTES = 1 << 20;
const STORED_BYTES = 4; // "HD" and the end of line

/** Stores the keys with flags 0, a megabyte at a time. */
export async function fillPipelined(address: string, keys: readonly string[], value: string): Promise<void> {
  const pipe = await Pipe.open(address);
  const batch = Math.max(1, Math.floor(FILL_BATCH_BYTES / (value.length + 50)));
  for (let from = 0; from < keys.length; from += batch) {
    const part = keys.slice(from, from + batch);
    const text = part.map((key) => `ms ${key} ${value.length} T0 F0\r\n${value}\r\n`).join("");
    const reply = await pipe.send(Buffer.from(text, "latin1"), part.length * STORED_BYTES);
    if (reply.toString("latin1", 0, 2) !== "HD")
      throw new Error(`${address} did not store: ${reply.toString("latin1")}`);
  }
  pipe.close();
}
