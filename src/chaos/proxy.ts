/**
 * A TCP proxy whose connections can be made to fail as networks do.
 *
 *   drop      nothing passes, in either direction, of new connections neither; cut at the end
 *   refuse    connections are cut, new ones too
 *   delay     every piece waits, in order, on each connection for a time of its own. What a client has sent before it gave up arrives all the same
 *   halfOpen  some connections lose one direction and do not learn of it; cut at the end
 *   reset     the next larger pieces are cut in the middle, and the connection with them
 *
 * Nothing is kept for longer than a delay: a network does not deliver minutes later.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Random } from "../model/random.ts";

export const PROXY_FAULTS = ["drop", "refuse", "delay", "halfOpen", "reset"] as const;
export type ProxyFault = (typeof PROXY_FAULTS)[number];

const HOST = "127.0.0.1";
const MIN_DELAY_MS = 20;
const MAX_DELAY_MS = 900;
const HALF_OPEN_SHARE = 0.6;
/** Pieces that a reset may hit: longer than a command line. */
const CUT_BYTES = 48;
const CUTS = 6;
/** Bytes held back for one connection, at most: then it is cut. */
const MAX_HELD = 16 * 1024 * 1024;

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Directions that lose everything. */
  readonly lost: Set<"up" | "down">;
  /** While pieces are delayed. Connections that waited alike would keep their order among each other. */
  readonly delayMs: number;
}

export class FaultyProxy {
  readonly #server: Server;
  readonly #random: Random;
  readonly #pairs = new Set<Pair>();
  #target: number;
  #fault: ProxyFault | undefined;
  #slowness = 1;
  #cutsLeft = 0;
  #end: NodeJS.Timeout | undefined;

  private constructor(target: number, random: Random) {
    this.#target = target;
    this.#random = random;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async listen(target: number, random: Random): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target, random);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, HOST, resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Another server stands behind it from now on. */
  retarget(port: number): void {
    this.#target = port;
    this.#cutAll();
  }

  /**
   * One fault at a time: another one ends it.
   * @param slowness of a delay: part of the time that each connection's pieces wait at most
   */
  fault(kind: ProxyFault, ms: number, slowness = 1): void {
    this.heal();
    this.#fault = kind;
    this.#slowness = slowness;
    if (kind === "refuse") this.#cutAll();
    if (kind === "reset") this.#cutsLeft = CUTS;
    if (kind === "drop") for (const { lost } of this.#pairs) lost.add("up").add("down");
    if (kind === "halfOpen") {
      for (const { lost } of this.#pairs) {
        if (this.#random.chance(HALF_OPEN_SHARE)) lost.add(this.#random.chance(0.5) ? "up" : "down");
      }
    }
    this.#end = setTimeout(() => this.heal(), ms);
  }

  /** From here on everything passes; connections that have lost something are cut. */
  heal(): void {
    clearTimeout(this.#end);
    this.#fault = undefined;
    this.#cutsLeft = 0;
    for (const pair of this.#pairs) if (pair.lost.size > 0) cut(pair);
  }

  close(): void {
    this.heal();
    this.#cutAll();
    this.#server.close();
  }

  #accept(client: Socket): void {
    if (this.#fault === "refuse") {
      client.on("error", () => {});
      client.resetAndDestroy();
      return;
    }
    const server = connect({ port: this.#target, host: HOST, noDelay: true });
    client.setNoDelay(true);
    const lost = new Set<"up" | "down">(this.#fault === "drop" ? ["up", "down"] : []);
    const pair: Pair = { client, server, lost, delayMs: this.#random.int(MIN_DELAY_MS, MAX_DELAY_MS) };
    this.#pairs.add(pair);
    this.#pipe(pair, "up", client, server);
    this.#pipe(pair, "down", server, client);
    for (const socket of [client, server]) {
      socket.on("error", () => cut(pair));
      socket.on("close", () => this.#pairs.delete(pair));
    }
  }

  #pipe(pair: Pair, direction: "up" | "down", from: Socket, to: Socket): void {
    let held = 0;
    let last = Promise.resolve();
    const after = (ms: number, then: () => void) => {
      const ready = new Promise<void>((resolve) => setTimeout(resolve, ms));
      last = last.then(() => ready).then(then);
    };
    from.on("data", (piece: Buffer) => {
      if (pair.lost.has(direction)) return;
      if (this.#cutsLeft > 0 && piece.length > CUT_BYTES) {
        this.#cutsLeft--;
        pair.lost.add("up").add("down");
        to.write(piece.subarray(0, this.#random.int(1, piece.length - 1)), () => cut(pair));
        return;
      }
      const delayMs = this.#fault === "delay" ? pair.delayMs * this.#slowness : 0;
      if (delayMs === 0 && held === 0) {
        to.write(piece);
        return;
      }
      held += piece.length;
      if (held > MAX_HELD) cut(pair);
      after(delayMs, () => {
        held -= piece.length;
        if (!to.destroyed && !pair.lost.has(direction)) to.write(piece);
      });
    });
    from.on("end", () => {
      if (held === 0) to.end();
      else after(0, () => to.end());
    });
    from.on("close", () => {
      if (held === 0) to.destroySoon();
      else after(0, () => to.destroySoon());
    });
  }

  #cutAll(): void {
    for (const pair of this.#pairs) cut(pair);
  }
}

function cut({ client, server }: Pair): void {
  for (const socket of [client, server]) if (!socket.destroyed) socket.resetAndDestroy();
}
