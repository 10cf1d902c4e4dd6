/** The way to each server, made on demand with shared options. A server is a name and an address: a node that moved house gets a new link. */
import { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "./access.ts";
import { flushAll, stats, version } from "./admin.ts";
import type { Command, ConnectionRef, Exchanged } from "./exchange.ts";
import { type FirstWords, type Health, Link, type LinkOptions, type NodeLink } from "./link.ts";
import { LinkFan } from "./link-fan.ts";
import type { OpenCarrier } from "./link-options.ts";
import { MetaBeside } from "./meta-beside.ts";
import { metadump } from "./metadump.ts";
import type { PoolProtocol, ServerAdmin } from "./pool-protocol.ts";
import { type Endpoint, ExchangeError, type Transport } from "./transport.ts";

const DEFAULT_QUEUE_LIMIT = 100_000;

/** As for a link; the events say which server they are about. */
export interface LinkPoolOptions
  extends Omit<LinkOptions, "name" | "address" | "onUp" | "onDown" | "health" | "connect"> {
  /** Connections to each server; a key always goes over the same one. Default 1. */
  readonly connections?: number | undefined;
  /** Default: the meta protocol. */
  readonly protocol?: PoolProtocol | undefined;
  readonly health?: PoolHealth | undefined;
  readonly onUp?: ((node: Endpoint) => void) | undefined;
  readonly onDown?: ((node: Endpoint, error: RingshiftError) => void) | undefined;
}

/** As for a link. */
export interface PoolHealth {
  readonly downAfter: number;
  readonly onRejoin?: ((node: Endpoint, exchange: FirstWords) => Promise<void>) | undefined;
  readonly onDown: (node: Endpoint, error: RingshiftError) => void;
  readonly onUp: (node: Endpoint) => void;
}

interface Entry {
  readonly link: NodeLink;
  /** Set while the server is no longer named and its grace runs. */
  retiring: NodeJS.Timeout | undefined;
}

export class LinkPool implements Transport {
  readonly #options: LinkPoolOptions;
  readonly #entries = new Map<string, Entry>();
  /** Links that are closing. */
  readonly #leaving = new Set<NodeLink>();
  /** Closes of retired links under way. */
  readonly #retired = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  constructor(options: LinkPoolOptions = {}) {
    this.#options = options;
  }

  get access(): ServerAccess | undefined {
    return this.#options.access;
  }

  /** The server's link. @throws RingshiftError NODE_ADDRESS, or CLOSED after `close` */
  link(node: Endpoint): NodeLink {
    const key = keyOf(node);
    const entry = this.#entries.get(key);
    if (entry !== undefined) return entry.link;
    if (this.#closing !== undefined)
      throw new RingshiftError("CLOSED", `${node.name}: the client was closed`, { node: node.name });
    const link = this.#newLink(node);
    this.#entries.set(key, { link, retiring: undefined });
    return link;
  }

  isDown(node: Endpoint): boolean {
    return this.#entries.get(keyOf(node))?.link.down ?? false;
  }

  async exchange(
    node: Endpoint,
    commands: readonly Command[],
    on?: ConnectionRef,
    mayFlush?: () => boolean,
  ): Promise<Exchanged> {
    let link: NodeLink;
    try {
      link = this.link(node);
    } catch (error) {
      throw error instanceof RingshiftError ? new ExchangeError(error, false) : error;
    }
    return link.exchange(commands, on, mayFlush);
  }

  retry(node: Endpoint): void {
    this.#entries.get(keyOf(node))?.link.retry();
  }

  dump(node: Endpoint, waitMs?: number): AsyncIterable<string> {
    if (this.#options.protocol?.metaBeside === false) return notListed(node);
    const { access } = this.#options;
    return metadump(node.address, { access, timeoutMs: waitMs, maxWaitMs: waitMs, firstLineMs: waitMs });
  }

  /** Questions to one server, each over a short connection of its own. @param timeoutMs of one question. Default 2000 */
  admin({ address }: Endpoint, timeoutMs?: number): ServerAdmin {
    if (this.#options.protocol !== undefined) return this.#options.protocol.admin(address, timeoutMs);
    const line = { access: this.#options.access, timeoutMs, totalMs: timeoutMs };
    return {
      version: () => version(address, line),
      stats: (what: string) => stats(address, what, line),
      flushAll: () => flushAll(address, line),
    };
  }

  /** The servers that have links, by name. */
  states(): Record<string, { state: "up" | "down"; inFlight: number; waiting: number }> {
    const states: ReturnType<LinkPool["states"]> = {};
    for (const [key, { link }] of this.#entries) {
      const name = key.slice(0, key.indexOf("\n"));
      states[name] = { state: link.down ? "down" : "up", inFlight: link.inFlight, waiting: link.waiting };
    }
    return states;
  }

  /** As a link does. */
  expire(nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { link } of this.#entries.values()) earliest = Math.min(earliest, link.expire(nowMs));
    for (const link of this.#leaving) earliest = Math.min(earliest, link.expire(nowMs));
    return earliest;
  }

  /**
   * Closes the links of servers that are not among `nodes`, after a grace in which operations of an older epoch may end. A server that is
   * named again within its grace keeps its link, which tries at once to connect if it was backing off: to be named is news of the server.
   */
  retain(nodes: readonly Endpoint[], graceMs: number): void {
    const named = new Set(nodes.map(keyOf));
    for (const [key, entry] of this.#entries) {
      if (named.has(key)) {
        if (entry.retiring === undefined) continue;
        clearTimeout(entry.retiring);
        entry.retiring = undefined;
        entry.link.retry();
      } else if (entry.retiring === undefined) {
        entry.retiring = setTimeout(() => this.#retire(key, entry), graceMs);
        entry.retiring.unref();
      }
    }
  }

  /** Closes all links; what is in flight is answered or times out first. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      const entries = [...this.#entries.values()];
      this.#entries.clear();
      for (const entry of entries) this.#leaving.add(entry.link);
      for (const entry of entries) clearTimeout(entry.retiring);
      await Promise.all([...entries.map((entry) => entry.link.close()), ...this.#retired]);
    })();
    return this.#closing;
  }

  #newLink(node: Endpoint): NodeLink {
    const { onUp: _up, onDown: _down, health: _health, connections = 1, protocol, ...shared } = this.#options;
    const beside = protocol?.metaBeside === true;
    const events = eventsOf(this.#options, node);
    const one = (connect?: OpenCarrier) =>
      new Link({
        ...shared,
        ...events(),
        queueLimit: Math.ceil((shared.queueLimit ?? DEFAULT_QUEUE_LIMIT) / connections),
        name: node.name,
        address: node.address,
        connect,
      });
    const links = Array.from({ length: connections }, () => one(protocol?.connect));
    const link = links.length === 1 ? links[0]! : new LinkFan(links);
    return beside ? new MetaBeside(link, one(), (command) => protocol.speaks(command)) : link;
  }

  #retire(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#leaving.add(entry.link);
    const closed = entry.link.close().then(() => {
      this.#leaving.delete(entry.link);
      this.#retired.delete(closed);
    });
    this.#retired.add(closed);
  }
}

/** What each link to a server is told to report. The server is down for whoever listens while any of its links finds it down. */
function eventsOf({ onUp, onDown, health }: LinkPoolOptions, node: Endpoint) {
  const down = new Set<object>();
  return (): Pick<LinkOptions, "onUp" | "onDown" | "health"> => ({
    onUp: onUp && (() => onUp(node)),
    onDown: onDown && ((error) => onDown(node, error)),
    health: health && healthOf(health, node, down),
  });
}

function healthOf({ downAfter, onRejoin, onDown, onUp }: PoolHealth, node: Endpoint, down: Set<object>): Health {
  const link = {};
  return {
    downAfter,
    onRejoin: onRejoin && ((exchange) => onRejoin(node, exchange)),
    onDown: (error) => {
      if (down.size === 0) onDown(node, error);
      down.add(link);
    },
    onUp: () => {
      if (down.delete(link) && down.size === 0) onUp(node);
    },
  };
}

// biome-ignore lint/correctness/useYield: it has no keys to give
async function* notListed({ name }: Endpoint): AsyncGenerator<string> {
  throw new RingshiftError(
    "NOT_SUPPORTED",
    `${name}: the binary protocol cannot list a server's keys; flush({ everything: true }) empties the servers.`,
    { node: name },
  );
}

function keyOf(node: Endpoint): string {
  return `${node.name}\n${node.address}`;
}
