/**
 * The embedded client, and beside it the one read that HTTP needs and the client does not have: value, CAS and remaining TTL in one
 * round trip. Both work over one session.
 *
 *   read ─► key not moving, fence stands ─► the reply           (one command, one promise)
 *              └─ anything else ─► operate, rules V R P         (as every client command)
 *
 * Requests of many connections arrive one callback each, so every one would have a flush of its own. They are collected to the end of the
 * event loop's round and leave in one flush a node: with 64 connections that was worth a third of the throughput, and costs no time that
 * a lone request would notice.
 */
import { Client } from "../client/client.ts";
import { decode } from "../client/codec.ts";
import { type OperateOptions, operate } from "../client/operate.ts";
import { type OpenSession, openManaged } from "../client/session.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Exchanged, Reply } from "../memcached/exchange.ts";
import { toWireKey } from "../memcached/key.ts";
import type { NodeLink } from "../memcached/link-options.ts";
import { read } from "../protocol/read.ts";
import { fenceStands } from "../protocol/validate.ts";
import type { Route, View } from "../protocol/view.ts";
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

interface WaitingRead {
  readonly key: string;
  readonly wire: string;
  readonly resolve: (reading: Reading | Promise<Reading>) => void;
  readonly reject: (error: unknown) => void;
}

export class Cache {
  readonly client: Client;
  readonly #open: OpenSession;
  readonly #options: OperateOptions;
  readonly #waiting: WaitingRead[] = [];
  readonly #send = () => this.#sendWaiting();

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
    const { session } = this.#open;
    const wire = toWireKey(session.namespace.keyPrefix, key);
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(this.#send);
      this.#waiting.push({ key, wire, resolve, reject });
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

  /** Everything that waits, in one tick: one flush a node. */
  #sendWaiting(): void {
    const { session, pool } = this.#open;
    for (const call of this.#waiting.splice(0)) {
      try {
        const hash = session.view.hashOf(call.wire);
        const route = session.view.route(call.wire, hash);
        if (route.moving || route.careful) call.resolve(this.#readByRules(call, hash));
        else this.#submit(call, hash, route, session.enter(), pool.link(route.node));
      } catch (error) {
        call.reject(error);
      }
    }
  }

  #submit(call: WaitingRead, hash: number, route: Route, view: View, link: NodeLink): void {
    link.submit([metaGet(call.wire, READ_FLAGS)], undefined, (failure, result) => {
      this.#open.session.leave(view);
      try {
        const reading = failure === undefined ? readingOf(route, result!) : undefined;
        call.resolve(reading ?? this.#readByRules(call, hash));
      } catch (error) {
        call.reject(error);
      }
    });
  }

  async #readByRules({ key, wire }: WaitingRead, hash: number): Promise<Reading> {
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
