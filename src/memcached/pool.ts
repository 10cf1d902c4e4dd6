/** One link per server, made on demand with shared options. A server is a name and an address: a node that moved house gets a new link. */
import { RingshiftError } from "../errors.ts";
import type { Command, ConnectionRef, Exchanged } from "./exchange.ts";
import { Link, type LinkOptions } from "./link.ts";
import { metadump } from "./metadump.ts";
import { type Endpoint, ExchangeError, type Transport } from "./transport.ts";

/** As for a link; the events say which server they are about. */
export interface LinkPoolOptions extends Omit<LinkOptions, "name" | "address" | "onUp" | "onDown"> {
  readonly onUp?: ((node: Endpoint) => void) | undefined;
  readonly onDown?: ((node: Endpoint, error: RingshiftError) => void) | undefined;
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

  /** The server's link. @throws RingshiftError NODE_ADDRESS, or CLOSED after `close` */
  link(node: Endpoint): Link {
    const key = keyOf(node);
    const entry = this.#entries.get(key);
    if (entry !== undefined) return entry.link;
    if (this.#closing !== undefined)
      throw new RingshiftError("CLOSED", `${node.name}: the client was closed`, { node: node.name });
    const { onUp, onDown, ...shared } = this.#options;
    const link = new Link({
      ...shared,
      name: node.name,
      address: node.address,
      onUp: onUp === undefined ? undefined : () => onUp(node),
      onDown: onDown === undefined ? undefined : (error) => onDown(node, error),
    });
    this.#entries.set(key, { link, retiring: undefined });
    return link;
  }

  async exchange(node: Endpoint, commands: readonly Command[], on?: ConnectionRef): Promise<Exchanged> {
    let link: Link;
    try {
      link = this.link(node);
    } catch (error) {
      throw error instanceof RingshiftError ? new ExchangeError(error, false) : error;
    }
    return link.exchange(commands, on);
  }

  dump(node: Endpoint): AsyncIterable<string> {
    return metadump(node.address);
  }

  /**
   * Closes the links of servers that are not among `nodes`, after a grace in which operations of an older epoch may end. A server that is
   * named again within its grace keeps its link.
   */
  retain(nodes: readonly Endpoint[], graceMs: number): void {
    const named = new Set(nodes.map(keyOf));
    for (const [key, entry] of this.#entries) {
      if (named.has(key)) {
        clearTimeout(entry.retiring);
        entry.retiring = undefined;
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

function keyOf(node: Endpoint): string {
  return `${node.name}\n${node.address}`;
}
