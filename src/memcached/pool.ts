/** One link per server, made on demand with shared options. A server is a name and an address: a node that moved house gets a new link. */
import { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "./access.ts";
import { flushAll, stats, version } from "./admin.ts";
import type { Command, ConnectionRef, Exchanged } from "./exchange.ts";
import { type FirstWords, type Health, Link, type LinkOptions } from "./link.ts";
import { metadump } from "./metadump.ts";
import { type Endpoint, ExchangeError, type Transport } from "./transport.ts";

/** As for a link; the events say which server they are about. */
export interface LinkPoolOptions extends Omit<LinkOptions, "name" | "address" | "onUp" | "onDown" | "health"> {
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
  readonly link: Link;
  /** Set while the server is no longer named and its grace runs. */
  retiring: NodeJS.Timeout | undefined;
}

export class LinkPool implements Transport {
  readonly #options: LinkPoolOptions;
  readonly #entries = new Map<string, Entry>();
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
  link(node: Endpoint): Link {
    const key = keyOf(node);
    const entry = this.#entries.get(key);
    if (entry !== undefined) return entry.link;
    if (this.#closing !== undefined)
      throw new RingshiftError("CLOSED", `${node.name}: the client was closed`, { node: node.name });
    const { onUp, onDown, health, ...shared } = this.#options;
    const link = new Link({
      ...shared,
      name: node.name,
      address: node.address,
      health: health && healthOf(health, node),
      onUp: onUp === undefined ? undefined : () => onUp(node),
      onDown: onDown === undefined ? undefined : (error) => onDown(node, error),
    });
    this.#entries.set(key, { link, retiring: undefined });
    return link;
  }

  async exchange(
    node: Endpoint,
    commands: readonly Command[],
    on?: ConnectionRef,
    mayFlush?: () => boolean,
  ): Promise<Exchanged> {
    let link: Link;
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

  dump(node: Endpoint): AsyncIterable<string> {
    return metadump(node.address, { access: this.#options.access });
  }

  /** Questions to one server, each over a short connection of its own. @throws RingshiftError */
  admin({ address }: Endpoint) {
    const line = { access: this.#options.access };
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
      for (const entry of entries) clearTimeout(entry.retiring);
      await Promise.all([...entries.map((entry) => entry.link.close()), ...this.#retired]);
    })();
    return this.#closing;
  }

  #retire(key: string, entry: Entry): void {
    this.#entries.delete(key);
    const closed = entry.link.close().then(() => {
      this.#retired.delete(closed);
    });
    this.#retired.add(closed);
  }
}

function healthOf({ downAfter, onRejoin, onDown, onUp }: PoolHealth, node: Endpoint): Health {
  return {
    downAfter,
    onRejoin: onRejoin && ((exchange) => onRejoin(node, exchange)),
    onDown: (error) => onDown(node, error),
    onUp: () => onUp(node),
  };
}

function keyOf(node: Endpoint): string {
  return `${node.name}\n${node.address}`;
}
