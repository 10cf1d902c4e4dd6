/** The options of a client, each with its default. */
import { checkDiscovery, type DiscoveryOptions } from "../discovery/options.ts";
import { invalidOption, shown } from "../errors.ts";
import { requireKnown, requireMilliseconds } from "../known-options.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { NEW_NODE_FIELDS, type NewNode } from "../migration/change.ts";
import type { WhenIndexDown } from "../protocol/session.ts";
import { RING_COMPATS } from "../ring/index.ts";
import type { Compat } from "../topology/document.ts";
import type { Serializer } from "./codec.ts";
import { type Compression, checkCompression } from "./compress.ts";
import type { OnNodeDown } from "./operate.ts";
import type { OnRejoin } from "./rejoin.ts";
import { checkTransport } from "./transport-options.ts";

export interface ClientOptions {
  /** URL of the Redis that holds topology and index. Without it: a plain ketama client over `servers`, with no live change. */
  readonly redis?: string | undefined;
  /**
   * Servers, as `host:port` or with name, weight or vnodes. With `redis` they only start a cluster that Redis does not know yet;
   * what Redis knows counts.
   */
  readonly servers?: readonly (string | NewNode)[] | undefined;
  /**
   * Where the servers are named outside of ringshift: a servers file, a DNS name, AWS's configuration endpoint. Stands in for `servers`, and is
   * looked at again and again: a difference is an event (`discovery`), applied only with its own `autoApply`.
   */
  readonly discovery?: DiscoveryOptions | undefined;
  /** Keeps several clusters apart on the same servers and Redis: keys go as `namespace:key`. Default: none, keys go as they are. */
  readonly namespace?: string | undefined;
  /** How ring points are placed. Default `ringshift`: exactly 160 points per unit of weight. The others reproduce the C libraries. */
  readonly compat?: Compat | undefined;
  /** Hash only what stands in braces, `{user:1}:a` as `user:1`, so that a user's keys lie together. For the life of a cluster. Default false. */
  readonly hashTags?: boolean | undefined;
  /** Keys that are too long go as the sha256 of their bytes instead of being refused. Default false. */
  readonly hashLongKeys?: boolean | undefined;
  /**
   * `base64`: keys may hold blanks, control characters and NUL too (as UTF-8, up to 186 bytes with the prefix). Such a key goes in base64 with
   * the meta protocol's flag `b`, and memcached stores it decoded, so clients of other libraries that do the same find it. All other keys
   * go as ever. Default: such keys are refused.
   */
  readonly binaryKeys?: "base64" | undefined;
  /** Turns values into items and back where the default is not wanted. */
  readonly serializer?: Serializer | undefined;
  /** Compress values from a size on. Compressed values are read without this. Default: none is compressed. */
  readonly compress?: Compression | undefined;
  /** Every call settles within this, in ms, waits for Redis included; not the time that `getOrSet`'s own `load` takes, nor `flush`, of which each step does. Default 5000; at most a day. */
  readonly timeoutMs?: number | undefined;
  /** Time to connect to a server, in ms. Default 1000, and at most a third of `timeoutMs`. */
  readonly connectTimeoutMs?: number | undefined;
  /** A connection that does not answer a flush within this is destroyed, in ms. Default 1000, and at most a third of `timeoutMs`. */
  readonly ioTimeoutMs?: number | undefined;
  /** Commands that wait for one server or are in flight there, at most; more are refused with QUEUE_FULL. Default 100,000. */
  readonly queueLimit?: number | undefined;
  /** Connections to each server, 1 to 64; a key always goes over the same one. Default 1, which is what one process needs. */
  readonly connections?: number | undefined;
  /**
   * `binary`: data commands go by memjs, for servers that ask for SASL (memcached -S) or are older than the meta protocol. What that
   * cannot do answers NOT_SUPPORTED (docs/commands.md); a cluster that is to change needs servers that speak meta too. Default `meta`.
   */
  readonly protocol?: "meta" | "binary" | undefined;
  /** TLS to the servers (memcached -Z): `true`, or options of `tls.connect`. */
  readonly tls?: ServerAccess["tls"] | undefined;
  /** Who we are to servers that ask (memcached -Y; with `protocol: "binary"` SASL PLAIN, memcached -S). */
  readonly auth?: ServerAccess["auth"] | undefined;
  /** What a read does whose server does not answer: reject with NODE_DOWN or TIMEOUT, or count as a miss. Writes always reject. Default `error`. */
  readonly onNodeDown?: OnNodeDown | undefined;
  /** Connections in a row that come to nothing until a server is down: its keys fail at once then, until a probe is answered. Default 2. */
  readonly downAfter?: number | undefined;
  /**
   * Before a server that was out of reach serves again: `repair` deletes the keys that anybody tried to write there meanwhile, by a list in
   * Redis; `flush` deletes all keys of this cluster there. Default: neither. A write that rejected with NODE_DOWN had no effect anywhere, so
   * nothing there is stale; repair is for callers who want a miss rather than the value before a write that failed, and it costs
   * acknowledged values, counters too.
   */
  readonly onRejoin?: OnRejoin | undefined;
  /** Attempt set and delete again when their effect is unknown: at least once instead of at most once. Default false. */
  readonly retryAmbiguous?: boolean | undefined;
  /**
   * While Redis does not answer, the write of a key that the index may not list yet: `mark` (the default) writes it and marks its server, so that
   * the next migration searches the server itself; `reject` refuses it with REDIS_UNREACHABLE. Reads and other writes go on either way.
   */
  readonly whenIndexDown?: WhenIndexDown | undefined;
  /** Without `redis`: serve although a server belongs to a managed cluster. Default false. */
  readonly unmanaged?: boolean | undefined;
}

const KNOWN: readonly string[] = [
  "redis",
  "servers",
  "discovery",
  "namespace",
  "compat",
  "hashTags",
  "hashLongKeys",
  "binaryKeys",
  "serializer",
  "compress",
  "timeoutMs",
  "connectTimeoutMs",
  "ioTimeoutMs",
  "queueLimit",
  "connections",
  "protocol",
  "tls",
  "auth",
  "onNodeDown",
  "downAfter",
  "onRejoin",
  "retryAmbiguous",
  "whenIndexDown",
  "unmanaged",
] satisfies (keyof ClientOptions)[];

/** @throws RingshiftError INVALID_OPTION */
export function checkOptions(options: ClientOptions): void {
  if (typeof options !== "object" || options === null) {
    throw invalidOption("createClient takes its options as an object: { redis }, or { servers }.");
  }
  requireKnown("createClient", options, KNOWN);
  if (options.redis !== undefined && (typeof options.redis !== "string" || options.redis === "")) {
    throw invalidOption(`redis is a URL, "redis://127.0.0.1:6379", not ${shown(options.redis)}.`);
  }
  if (options.servers !== undefined) checkServers(options.servers);
  if (options.serializer !== undefined) checkSerializer(options.serializer);
  for (const name of ["hashTags", "hashLongKeys", "retryAmbiguous", "unmanaged"] as const) {
    const value: unknown = options[name];
    if (value !== undefined && typeof value !== "boolean") {
      throw invalidOption(`${name} is true or false, not ${shown(value)}.`);
    }
  }
  for (const name of ["timeoutMs", "connectTimeoutMs", "ioTimeoutMs"] as const) {
    requireMilliseconds(name, options[name]);
  }
  if (options.compat !== undefined && !RING_COMPATS.includes(options.compat)) {
    throw invalidOption(`compat is one of ${RING_COMPATS.join(", ")}, not ${shown(options.compat)}.`);
  }
  if (options.whenIndexDown !== undefined && !["mark", "reject"].includes(options.whenIndexDown)) {
    throw invalidOption(`whenIndexDown is "mark" or "reject", not ${shown(options.whenIndexDown)}.`);
  }
  if (options.binaryKeys !== undefined && options.binaryKeys !== "base64") {
    throw invalidOption(`binaryKeys is "base64", not ${shown(options.binaryKeys)}.`);
  }
  if (options.onNodeDown !== undefined && !["error", "miss"].includes(options.onNodeDown)) {
    throw invalidOption(`onNodeDown is "error" or "miss", not ${shown(options.onNodeDown)}.`);
  }
  if (options.onRejoin !== undefined && !["repair", "flush"].includes(options.onRejoin)) {
    throw invalidOption(`onRejoin is "repair" or "flush", not ${shown(options.onRejoin)}.`);
  }
  if (options.onRejoin === "repair" && options.redis === undefined) {
    throw invalidOption('onRejoin "repair" needs `redis`, where the keys to repair are listed.');
  }
  for (const name of ["queueLimit", "downAfter"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw invalidOption(`${name} is a whole number above 0, not ${shown(value)}.`);
    }
  }
  if (options.compress !== undefined) checkCompression(options.compress);
  checkTransport(options);
  if (options.discovery !== undefined) checkDiscovery(options.discovery, options.redis !== undefined);
  if (options.redis === undefined && !options.servers?.length && options.discovery === undefined) {
    throw invalidOption("createClient needs `redis`, or `servers` (or `discovery`) for a plain ketama client.");
  }
}

export function newNodes(servers: readonly (string | NewNode)[]): NewNode[] {
  return servers.map((server) => (typeof server === "string" ? { address: server } : server));
}

function checkServers(servers: readonly (string | NewNode)[]): void {
  if (!Array.isArray(servers)) throw invalidOption(`servers is a list, ["127.0.0.1:11211"], not ${shown(servers)}.`);
  for (const server of servers as readonly (string | NewNode)[]) {
    if (typeof server === "string") continue;
    if (typeof server !== "object" || server === null || typeof server.address !== "string") {
      throw invalidOption(
        'servers has addresses, "127.0.0.1:11211", or objects with an address: { address, name, weight }.',
      );
    }
    requireKnown("A server", server, NEW_NODE_FIELDS);
  }
}

function checkSerializer(serializer: Partial<Serializer> | null): void {
  const { serialize, deserialize } = serializer ?? {};
  if (typeof serialize === "function" && typeof deserialize === "function") return;
  throw invalidOption("serializer is an object with the functions serialize and deserialize.");
}
