/**
 * The second floor: the first one with what a client cannot do without. Key hash, ring lookup, request text, and one promise a call; requests
 * of one tick leave together. Replies are still only counted: no decoding, no timeouts, no fence, no index.
 */
import { connect, type Socket } from "node:net";
import { keyHash, Ring } from "../../ring/index.ts";
import type { BenchClient, BenchTarget } from "./clients.ts";

const SHORT_REPLY_BYTES = 4; // "HD", "EN", and the end of line

interface Waiting {
  readonly replyBytes: number;
  readonly resolve: (value: undefined) => void;
}

class CallSocket {
  readonly #socket: Socket;
  #text = "";
  #waiting: Waiting[] = [];
  #head = 0;
  #unread = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk.length));
  }

  call(request: string, replyBytes: number): Promise<undefined> {
    if (this.#text === "") process.nextTick(() => this.#flush());
    this.#text += request;
    return new Promise((resolve) => this.#waiting.push({ replyBytes, resolve }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    this.#socket.write(this.#text, "latin1");
    this.#text = "";
  }

  #onData(bytes: number): void {
    this.#unread += bytes;
    for (let next = this.#waiting[this.#head]; next !== undefined; next = this.#waiting[this.#head]) {
      if (this.#unread < next.replyBytes) break;
      this.#unread -= next.replyBytes;
      this.#head++;
      next.resolve(undefined);
    }
    if (this.#head < 1024 && this.#head < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }
}

export async function openFloorCalls({ servers, valueBytes }: BenchTarget): Promise<BenchClient> {
  const ring = new Ring(servers.map((name) => ({ name })));
  const sockets = await Promise.all(ring.names.map(openSocket));
  const hitBytes = `VA ${valueBytes} f0\r\n`.length + valueBytes + 2;
  const of = (key: string) => sockets[ring.ownerAt(ring.locate(keyHash(key)))]!;
  const get = (key: string, absent = key.startsWith("bench:not:")) =>
    of(key).call(`mg ${key} v f\r\n`, absent ? SHORT_REPLY_BYTES : hitBytes);
  return {
    answersValues: false,
    get: (key) => get(key),
    set: (key, value) => of(key).call(`ms ${key} ${value.length} T0 F0\r\n${value}\r\n`, SHORT_REPLY_BYTES),
    getMany: (keys) => Promise.all(keys.map((key) => get(key))),
    close: async () => {
      for (const socket of sockets) socket.close();
    },
  };
}

function openSocket(server: string): Promise<CallSocket> {
  const [host, port] = server.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host!, port: Number(port), noDelay: true }, () => resolve(new CallSocket(socket)));
    socket.once("error", reject);
  });
}
