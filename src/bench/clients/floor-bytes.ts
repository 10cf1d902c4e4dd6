/**
 * The first floor: bare sockets, requests that are ready as bytes, replies of known length that are counted and dropped.
 *
 *     ready   | mg k1 v f | mg k2 v f | ...        one stretch of it goes out for as many replies as came in
 *     replies | VA 100 f0 .. | VA 100 f0 .. |      (bytes received) / (bytes of a reply)
 *
 * As many requests are in flight as in the lanes of a client, over all servers together. No fence, no hash, no text, no promise.
 */
import { connect, type Socket } from "node:net";
import { keyHash, Ring } from "../../ring/index.ts";
import type { Kind } from "../jobs/workloads.ts";
import { Histogram } from "../measure/histogram.ts";
import { fillPipelined } from "./pipe.ts";

/** A request's bytes, and the bytes of its reply. */
export interface Ready {
  readonly request: string;
  readonly replyBytes: number;
  /** What the reply begins with. */
  readonly word: string;
}

export function readyGet(key: string, valueBytes: number): Ready {
  return { request: `mg ${key} v f\r\n`, replyBytes: `VA ${valueBytes} f0\r\n`.length + valueBytes + 2, word: "VA" };
}

export function readyMiss(key: string): Ready {
  return { request: `mg ${key} v f\r\n`, replyBytes: 4, word: "EN" };
}

export function readySet(key: string, value: string): Ready {
  return { request: `ms ${key} ${value.length} T0 F0\r\n${value}\r\n`, replyBytes: 4, word: "HD" };
}

export interface Run {
  readonly ops: number;
  readonly latencies: Histogram;
}

/** The requests of one server and the socket to it. */
class ReadySocket {
  readonly #socket: Socket;
  readonly #requests: Buffer;
  readonly #requestBytes: number;
  readonly #reply: Ready;
  /** When each stretch in flight was sent, and how many of its requests are not answered. */
  #sent: { readonly at: number; left: number }[] = [];
  #next = 0;
  #unread = 0;
  #until = 0;
  #checked = false;
  #finish: () => void = () => {};
  latencies = new Histogram();
  ops = 0;

  constructor(socket: Socket, ready: readonly Ready[]) {
    this.#socket = socket;
    this.#requests = Buffer.from(ready.map(({ request }) => request).join(""), "latin1");
    this.#requestBytes = ready[0]!.request.length;
    this.#reply = ready[0]!;
    if (ready.some(({ request }) => request.length !== this.#requestBytes))
      throw new Error("requests differ in length");
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
  }

  run(inFlight: number, until: number): Promise<void> {
    if (inFlight === 0) return Promise.resolve();
    this.latencies = new Histogram();
    this.ops = 0;
    this.#until = until;
    return new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#socket.once("error", reject);
      this.#send(inFlight, performance.now());
    });
  }

  #onData(chunk: Buffer): void {
    if (!this.#checked && chunk.length >= 2) {
      this.#checked = true;
      const word = chunk.toString("latin1", 0, 2);
      if (word !== this.#reply.word) throw new Error(`the floor expected ${this.#reply.word}, the server said ${word}`);
    }
    this.#unread += chunk.length;
    const replies = Math.floor(this.#unread / this.#reply.replyBytes);
    if (replies === 0) return;
    this.#unread -= replies * this.#reply.replyBytes;
    this.ops += replies;
    const now = performance.now();
    this.#answered(replies, now);
    if (now < this.#until) this.#send(replies, now);
    else if (this.#sent.length === 0) this.#finish();
  }

  #answered(replies: number, now: number): void {
    for (let left = replies; left > 0; ) {
      const stretch = this.#sent[0]!;
      const count = Math.min(left, stretch.left);
      this.latencies.add((now - stretch.at) * 1000, count);
      left -= count;
      stretch.left -= count;
      if (stretch.left === 0) this.#sent.shift();
    }
  }

  #send(count: number, at: number): void {
    this.#sent.push({ at, left: count });
    for (let left = count; left > 0; ) {
      const end = Math.min(this.#requests.length, this.#next + left * this.#requestBytes);
      this.#socket.write(this.#requests.subarray(this.#next, end));
      left -= (end - this.#next) / this.#requestBytes;
      this.#next = end === this.#requests.length ? 0 : end;
    }
  }
}

export class FloorBytes {
  readonly #sockets: readonly Socket[];
  readonly #keys: readonly (readonly string[])[];

  private constructor(sockets: readonly Socket[], keys: readonly (readonly string[])[]) {
    this.#sockets = sockets;
    this.#keys = keys;
  }

  /** Connects, and stores the keys. */
  static async open(servers: readonly string[], keys: readonly string[], value: string): Promise<FloorBytes> {
    const ring = new Ring(servers.map((name) => ({ name })));
    const byServer = servers.map(() => [] as string[]);
    for (const key of keys) byServer[servers.indexOf(ring.names[ring.ownerAt(ring.locate(keyHash(key)))]!)]!.push(key);
    for (const [i, server] of servers.entries()) await fillPipelined(server, byServer[i]!, value);
    return new FloorBytes(await Promise.all(servers.map(openSocket)), byServer);
  }

  /** Answers the work of `inFlight` requests at a time, for as long as the caller says each time. */
  prepare(kind: Kind, value: string, inFlight: number): (seconds: number) => Promise<Run> {
    const make = readyMaker(kind, value);
    const used = this.#sockets
      .map((socket, i) => [socket, this.#keys[i]!] as const)
      .filter(([, own]) => own.length > 0);
    for (const [socket] of used) socket.removeAllListeners("data");
    const loops = used.map(([socket, own]) => new ReadySocket(socket, own.map(make)));
    return async (seconds) => {
      const until = performance.now() + seconds * 1000;
      const share = (i: number) => Math.floor((inFlight + i) / loops.length);
      await Promise.all(loops.map((loop, i) => loop.run(share(i), until)));
      const latencies = new Histogram();
      for (const loop of loops) latencies.addAll(loop.latencies);
      return { ops: loops.reduce((sum, loop) => sum + loop.ops, 0), latencies };
    };
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

function readyMaker(kind: Kind, value: string): (key: string) => Ready {
  if (kind === "get") return (key) => readyGet(key, value.length);
  if (kind === "miss") return (key) => readyMiss(key.replace(":key:", ":not:"));
  if (kind === "set") return (key) => readySet(key, value);
  throw new Error(`there are no ready bytes for ${kind}`);
}

function openSocket(server: string): Promise<Socket> {
  const [host, port] = server.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host!, port: Number(port), noDelay: true }, () => resolve(socket));
    socket.once("error", reject);
  });
}
