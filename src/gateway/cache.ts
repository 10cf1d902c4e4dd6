/**
 * The embedded client, and beside it the one read that HTTP needs and the client does not have: value, CAS and remaining TTL in one
 * round trip. Both work over one session.
 *
 *   read ─► key not moving, fence stands ─► the reply           (one command, no promise)
 *              └─ anything else ─► operate, rules V R P         (as every client command)
 */
import { Client } from "../client/client.ts";
import { decode } from "../client/codec.ts";
import { type OperateOptions, operate } from "../client/operate.ts";
import { type OpenSession, openManaged } from "../client/session.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Exchanged, Reply } from "../memcached/exchange.ts";
import { toWireKey } from "../memcached/key.ts";
import { read } from "../protocol/read.ts";
import { fenceStands } from "../protocol/validate.ts";
import type { Route } from "../protocol/view.ts";
import { namespaceOf } from "../topology/namespace.ts";

const READ_FLAGS = "v f c t";

export interface CacheTimes {
  /** As the client's options of these names, in ms. */
  readonly timeoutMs?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly ioTimeoutMs?: number | undefined;
}

export interface CacheOptions extends CacheTimes {
  /** URL of Redis. */
  readonly redis: string;
  readonly namespace?: string | undefined;
  /** How the servers are reached. */
  readonly access?: ServerAccess | undefined;
}

/** Connections in a row that come to nothing until a server is down: its keys are answered at once then, until it is found back. */
const DOWN_AFTER = 2;

/** A value with what HTTP says of it. */
export interface Item {
  readonly value: unknown;
  readonly cas: string;
  readonly incarnation: string;
  /** Seconds; undefined: never expires. */
  readonly ttl: number | undefined;
}

/** What a read found, and where it asked. */
export interface Reading {
  /** Undefined on a miss. */
  readonly item: Item | undefined;
  /** Index of the node that answered. */
  readonly index: number;
}

export class Cache {
  readonly client: Client;
  readonly #open: OpenSession;
  readonly #options: OperateOptions;

  /** Use `openCache`. */
  constructor(open: OpenSession, options: OperateOptions) {
    this.#open = open;
    this.#options = options;
    this.client = new Client(open, options);
  }

  /** The session that everything here works over. */
  get session() {
    return this.#open.session;
  }

  /** @throws RingshiftError as `Client.get` */
  read(key: string): Promise<Reading> {
    return new Promise((resolve, reject) => this.readInto(key, resolve, reject));
  }

  /**
   * `read` for who has no use for a promise. One of the two is called, once, and not from inside.
   * @throws RingshiftError INVALID_KEY; all others go to `onFailure`
   */
  readInto(key: string, onReading: (reading: Reading) => void, onFailure: (error: unknown) => void): void {
    const { session } = this.#open;
    const wire = toWireKey(session.namespace.keyPrefix, key);
    const hash = session.view.hashOf(wire);
    const route = session.view.route(wire, hash);
    const byRules = () => void this.#readByRules(key, wire, hash).then(onReading, onFailure);
    if (route.moving || route.careful) {
      byRules();
      return;
    }
    const link = this.#open.pool.link(route.node);
    const view = session.enter();
    link.submit([metaGet(wire, READ_FLAGS)], undefined, (failure, result) => {
      session.leave(view);
      let reading: Reading | undefined;
      try {
        reading = failure === undefined ? readingOf(route, result!) : undefined;
      } catch (error) {
        onFailure(error);
        return;
      }
      if (reading === undefined) byRules();
      else onReading(reading);
    });
  }

  /** Index of the node that owns the key now. @throws RingshiftError INVALID_KEY */
  indexOf(key: string): number {
    const { session } = this.#open;
    const wire = toWireKey(session.namespace.keyPrefix, key);
    return session.view.route(wire).node.index;
  }

  async close(): Promise<void> {
    await this.client.quit();
  }

  async #readByRules(key: string, wire: string, hash: number): Promise<Reading> {
    const { session } = this.#open;
    return operate(session, this.#options, {
      key,
      wire,
      hash,
      write: false,
      repeatable: true,
      attempt: async (route) => {
        const found = await read(session, route, READ_FLAGS);
        return { item: found && itemOf(found.reply, found.exchanged), index: route.node.index };
      },
    });
  }
}

/** Opens the cache of a cluster that Redis knows. @throws RingshiftError NOT_INITIALISED, REDIS_UNREACHABLE, INVALID_OPTION */
export async function openCache(options: CacheOptions): Promise<Cache> {
  const { redis, connectTimeoutMs, ioTimeoutMs, access } = options;
  const namespace = namespaceOf(options.namespace);
  const health = { downAfter: DOWN_AFTER, onRejoin: undefined };
  const open = await openManaged({ redis, namespace, connectTimeoutMs, ioTimeoutMs, access, health, caretaker: true });
  return new Cache(open, { timeoutMs: options.timeoutMs ?? 5_000, retryAmbiguous: false });
}

/** Undefined: the full rules have to look. */
function readingOf(route: Route, exchanged: Exchanged): Reading | undefined {
  if (!fenceStands(route, exchanged)) return undefined;
  const reply = exchanged.replies[0]!;
  if (reply.status === "EN") return { item: undefined, index: route.node.index };
  if (reply.status !== "VA" || reply.flags === PLACEHOLDER_FLAGS) return undefined;
  return { item: itemOf(reply, exchanged), index: route.node.index };
}

function itemOf(reply: Reply, exchanged: Exchanged): Item {
  return {
    value: decode(reply.value!, reply.flags ?? 0),
    cas: reply.cas!,
    incarnation: exchanged.fence?.incarnation ?? "",
    ttl: reply.ttl === undefined || reply.ttl < 0 ? undefined : reply.ttl,
  };
}
