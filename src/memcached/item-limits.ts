/**
 * What a server refuses to store, asked before anything is sent: a failing `ms` deletes the value that was there (docs/protocol.md, Facts).
 *
 * An item is its header, key, flags, value and CAS number; values that fit the smallest limit there is pass without a question. A server that
 * does not evict (-M) refuses even the smallest when it is full.
 */
import { setMaxListeners } from "node:events";
import { RingshiftError } from "../errors.ts";
import { stats } from "./admin.ts";
import type { LineOptions } from "./line-session.ts";
import type { PoolProtocol } from "./pool-protocol.ts";
import type { Endpoint } from "./transport.ts";

/** memcached refuses a smaller -I. */
const SMALLEST_LIMIT = 1024;
/** Item header 48, key's end 1, client flags 4, CAS 8, the value's CR LF 2. */
const OVERHEAD = 63;

interface Limits {
  /** Bytes of the largest item. */
  readonly item: number;
  /** It makes room by evicting. */
  readonly evicts: boolean;
}

export class ItemLimits {
  readonly #line: LineOptions;
  readonly #protocol: PoolProtocol | undefined;
  readonly #limits = new Map<string, Limits>();
  readonly #asking = new Map<string, Promise<Limits>>();
  readonly #closing = new AbortController();

  /** @param line how to ask a server, in lines of text unless a protocol is given */
  constructor(line: LineOptions = {}, protocol?: PoolProtocol) {
    const { signal } = this.#closing;
    setMaxListeners(0, signal); // one for each server that is being asked
    this.#line = { ...line, signal };
    this.#protocol = protocol;
  }

  /**
   * Throws when the item cannot fit; a promise when the server has to be asked first.
   * @throws RingshiftError VALUE_TOO_LARGE, or what the question failed with
   */
  check(node: Endpoint, keyBytes: number, valueBytes: number): Promise<void> | undefined {
    const size = OVERHEAD + keyBytes + valueBytes;
    if (size <= SMALLEST_LIMIT) return undefined;
    const limits = this.#limits.get(node.address);
    if (limits === undefined) return this.#ask(node).then(({ item }) => compare(node, size, item, valueBytes));
    compare(node, size, limits.item, valueBytes);
    return undefined;
  }

  /** The server makes room by evicting. False as well where that is not known: it did not answer the question. */
  async evicts(node: Endpoint): Promise<boolean> {
    const limits = this.#limits.get(node.address) ?? (await this.#ask(node).catch(() => undefined));
    return limits?.evicts ?? false;
  }

  /** True when the item is known to fit. */
  fits(node: Endpoint, keyBytes: number, valueBytes: number): boolean {
    const size = OVERHEAD + keyBytes + valueBytes;
    return size <= SMALLEST_LIMIT || size <= (this.#limits.get(node.address)?.item ?? 0);
  }

  /** No server is asked any more: what waits for an answer, and what would have to ask, is CLOSED. */
  close(): void {
    this.#closing.abort();
  }

  /** The server may have restarted with another limit. */
  forget(node: Endpoint): void {
    this.#limits.delete(node.address);
  }

  #ask(node: Endpoint): Promise<Limits> {
    if (this.#closing.signal.aborted) {
      const message = `${node.name}: the client was closed`;
      return Promise.reject(new RingshiftError("CLOSED", message, { node: node.name }));
    }
    let asking = this.#asking.get(node.address);
    if (asking === undefined) {
      asking = this.#settings(node)
        .then((settings) => {
          const item = limitOf(node, settings.get("item_size_max"));
          const limits = { item, evicts: settings.get("evictions") === "on" };
          this.#limits.set(node.address, limits);
          return limits;
        })
        .finally(() => this.#asking.delete(node.address));
      this.#asking.set(node.address, asking);
    }
    return asking;
  }

  #settings({ address }: Endpoint): Promise<Map<string, string>> {
    const { signal } = this.#line;
    if (this.#protocol !== undefined) return this.#protocol.admin(address, undefined, signal).stats("settings");
    return stats(address, "settings", this.#line);
  }
}

/** A server that does not tell has none that we know of. */
function limitOf({ name }: Endpoint, text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (/^\d+$/.test(text)) return Number(text);
  throw new RingshiftError("PROTOCOL_ERROR", `${name}: item_size_max is no number: ${JSON.stringify(text)}`, {
    node: name,
  });
}

function compare(node: Endpoint, size: number, limit: number, valueBytes: number): void {
  if (size <= limit) return;
  throw new RingshiftError(
    "VALUE_TOO_LARGE",
    `A value of ${valueBytes} bytes makes an item of ${size}; ${node.name} takes ${limit} (memcached -I). What was stored there is untouched.`,
    { node: node.name },
  );
}
