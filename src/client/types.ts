/** What the client's methods take and answer. */

import type { RingshiftError } from "../errors.ts";
import type { SessionCounters } from "../protocol/session.ts";
import type { Phase } from "../topology/document.ts";
import type { Compression } from "./compress.ts";

export interface CallOptions {
  /** Ends the call with ABORTED. A write that was sent may take effect all the same. */
  readonly signal?: AbortSignal | undefined;
}

export interface WriteOptions extends CallOptions {
  /** Time to live in seconds; 0 or absent: never expires. More than 30 days is converted for memcached. */
  readonly ttl?: number | undefined;
  /** Instead of the client's: `false` not at all, `true` whatever the size. */
  readonly compress?: Compression | boolean | undefined;
}

export interface CountOptions extends CallOptions {
  /** Where there is no value: what is stored and answered instead, as it is. */
  readonly initial?: number | bigint | undefined;
  /** Time to live of a value made from `initial`, in seconds. An existing value keeps its own. */
  readonly ttl?: number | undefined;
  /** Answer a bigint: exact over the whole 64 bits. */
  readonly bigint?: boolean | undefined;
}

export type BigintCount = CountOptions & { readonly bigint: true };
export type NumberCount = CountOptions & { readonly bigint?: false | undefined };

/** An object whose fields are entries, of an interface's type too; not a list, whose entries are checked as such, nor a promise of one. */
export type NoList<T> = T extends Iterable<unknown> | PromiseLike<unknown> ? never : unknown;

export interface MultiOptions extends CallOptions {
  /** Filled with the keys that could not be read, by key; the call answers the others then instead of rejecting. */
  readonly failed?: Map<string, RingshiftError> | undefined;
}

export interface GetOrSetOptions extends CallOptions {
  /** For so many seconds beyond its TTL a value is still answered, while one caller of the whole cluster loads it anew. Default 0. */
  readonly staleTtl?: number | undefined;
  /** From so many seconds before the end of its TTL on, one caller of the whole cluster loads a value anew. Default 0. */
  readonly earlyRefresh?: number | undefined;
  readonly compress?: Compression | boolean | undefined;
}

/**
 * Says which state of an item `gets` has seen. It is bound to its server and that server's incarnation: after a move or a restart `cas`
 * answers false without being sent. Without Redis nobody knows the incarnation, so there it is bound to the client that gave it.
 */
export interface CasToken {
  readonly node: string;
  readonly incarnation: string;
  readonly cas: string;
}

export interface Versioned<T> {
  readonly value: T;
  readonly cas: CasToken;
}

/** What a server knows of an item. */
export interface ItemMeta {
  /** Seconds left; undefined: never expires. */
  readonly ttl: number | undefined;
  /**
   * Seconds since the server last noted that the item was stored or read. It notes the second read after a store, and of later ones only
   * some, so the item may have been read since.
   */
  readonly lastAccess: number;
  /** Bytes of the value as stored, compressed where it is. */
  readonly size: number;
  /** It has been read since it was stored, or since it came to this server. */
  readonly hitBefore: boolean;
  /** Client flags. */
  readonly flags: number;
}

/** Where a key lives. */
export interface Location {
  readonly key: string;
  /** The key as it goes over the wire, namespace included. */
  readonly wireKey: string;
  /** The owning ring point. */
  readonly point: number;
  readonly node: string;
  readonly address: string;
  /** Index of the node, given at joining. */
  readonly index: number;
  /** Redis set that lists the key. Undefined without Redis. */
  readonly set: string | undefined;
  /** While the key is moving: the node it comes from. */
  readonly movingFrom: string | undefined;
}

export interface ClusterState {
  readonly epoch: number;
  readonly phase: Phase;
  readonly nodes: readonly { readonly name: string; readonly address: string; readonly index: number }[];
}

/** Numbers that only grow. */
export interface Metrics extends Readonly<SessionCounters> {
  /** Keys read with a value, and without; also without where the server was away and the client takes that for a miss (`onNodeDown`). */
  readonly hits: number;
  readonly misses: number;
  /**
   * Loads that `getOrSet` ran here, and of those the ones that made a value which was not stored: the key had changed meanwhile, its server was
   * away, or the value cannot be stored. A load that throws or makes `undefined` is not among these.
   */
  readonly loads: number;
  readonly loadsDiscarded: number;
}

/** A server as this client knows it at the moment. */
export interface NodeState {
  /** `down`: its keys fail at once, until a probe is answered. */
  readonly state: "up" | "down";
  /** Commands sent and not answered. */
  readonly inFlight: number;
  /** Commands not sent yet. */
  readonly waiting: number;
}
