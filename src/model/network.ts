/**
 * The network between one process and the simulated servers, in the place of `memcached/pool.ts`: a link per server (link.ts), and dumps.
 */
import type { Command, ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import type { Settle } from "../memcached/flush.ts";
import type { Endpoint, Transport } from "../memcached/transport.ts";
import { down, SimLink } from "./link.ts";
import type { Owner, Scheduler } from "./scheduler.ts";
import type { SimServer } from "./server.ts";

/** How long things take; drawn anew for each run. */
export interface Weather {
  /** Mean of a packet's way and of a step at a server, ms. */
  readonly mean: number;
  /** Probability that a flush is slow, and by how much at most, ms. */
  readonly slow: number;
  readonly slowMs: number;
}

/** Looks at the commands of an exchange on their way, and may change them and what comes back: `--without`. */
export type Tamper = (
  node: Endpoint,
  commands: readonly Command[],
) => { readonly commands: readonly Command[]; readonly back: (result: Exchanged) => Exchanged } | undefined;

export interface LinkParts {
  readonly scheduler: Scheduler;
  readonly owner: Owner;
  /** By address. */
  readonly servers: ReadonlyMap<string, SimServer>;
  readonly weather: Weather;
  readonly fenceKey: string;
  /** Rule T: for all exchanges, and for the one that brings its own. */
  readonly mayFlush: (own: (() => boolean) | undefined) => boolean;
  readonly tamper: Tamper | undefined;
  /** Rule off: a CAS token outlives its connection. */
  readonly anyConnection: boolean;
  /** Rule T's bound: false for what was written so long ago, and whose sender has been out of touch since, that its registration is over. */
  readonly mayArrive: (writtenAt: number) => boolean;
  /** Draws whether a flush stays on the wire until some publication, and how long at most, ms; 0: it goes at once. */
  readonly holds: (commands: readonly Command[]) => number;
  /** Told of an exchange that is about to be sent, at the end of the turn. */
  readonly submitted: (commands: readonly Command[]) => void;
  /** Calls back at one of the publications to come, or after that time. */
  readonly publication: (ms: number, then: () => void) => void;
  /** Told of each command before it runs, and of its reply afterwards. */
  readonly running: (node: Endpoint, command: Command, submittedAt: number) => void;
  readonly ran: (node: Endpoint, command: Command, reply: Reply) => void;
}

export class SimTransport implements Transport {
  readonly #links = new Map<string, SimLink>();
  readonly #parts: LinkParts;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  link(node: Endpoint): SimLink {
    let link = this.#links.get(node.address);
    if (link === undefined) {
      link = new SimLink(this.#parts, node);
      this.#links.set(node.address, link);
    }
    return link;
  }

  expire(nowMs: number): number {
    return Math.min(Number.POSITIVE_INFINITY, ...[...this.#links.values()].map((link) => link.expire(nowMs)));
  }

  exchange(
    node: Endpoint,
    commands: readonly Command[],
    on?: ConnectionRef,
    mayFlush?: () => boolean,
  ): Promise<Exchanged> {
    return new Promise((resolve, reject) => {
      const settle: Settle = (failure, result) => (failure ? reject(failure) : resolve(result!));
      this.link(node).submit(commands, on, settle, mayFlush);
    });
  }

  /** Not atomic: each key is looked up at a time of its own, and what comes meanwhile may be passed over. */
  async *dump(node: Endpoint): AsyncIterable<string> {
    const { scheduler, owner, servers, weather } = this.#parts;
    const server = servers.get(node.address)!;
    const wait = () =>
      new Promise<void>((resolve) => scheduler.after(scheduler.random.exponential(weather.mean), owner, resolve));
    await wait();
    if (server.isDownFor(owner) || server.stalledUntil > scheduler.now) throw down(node, "no dump");
    const { boot } = server;
    server.expire();
    for (let last = ""; ; ) {
      await wait();
      if (server.boot !== boot) throw down(node, "the dump broke");
      const key = [...server.items.keys()].filter((other) => other > last).sort()[0];
      if (key === undefined) return;
      last = key;
      yield key;
    }
  }

  /** Breaks a connection as a cut wire would. True when there was one. */
  cut(address: string): boolean {
    return this.#links.get(address)?.cut() ?? false;
  }

  abandon(): void {
    for (const link of this.#links.values()) link.abandon();
  }

  serverLeft(server: SimServer): void {
    for (const link of this.#links.values()) link.serverLeft(server);
  }

  get addresses(): string[] {
    return [...this.#links.keys()];
  }
}
