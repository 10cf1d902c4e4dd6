/** Where one cluster's state lives: names in Redis, the prefix of its keys, its reserved items on the servers. */
import { RingshiftError, shown } from "../errors.ts";
import { FENCE_KEY_PREFIX } from "../memcached/key.ts";

/** The namespace of clusters created without one: its keys carry no prefix. */
export const DEFAULT_NAMESPACE = "default";

export interface Namespace {
  readonly name: string;
  /** What every key of this cluster begins with on the wire: `shop:` in namespace `shop`, nothing in the default one. */
  readonly keyPrefix: string;
  /** The fence item on every server. */
  readonly fenceKey: string;
  /** Redis hash with the fields `id` and `doc`. */
  readonly topology: string;
  /** Pub/sub channel that announces a new document's id. */
  readonly channel: string;
  /** Redis sorted set: client id by the time (ms) its registration ends. */
  readonly clients: string;
  /** Redis hash: client id to the epoch it has acknowledged. */
  readonly acknowledged: string;
  /** Redis string with a time to live: the process that coordinates the change under way. */
  readonly lease: string;
  /** Redis hash: progress of the change under way. */
  readonly journal: string;
  /** Redis set: the points whose sets the change under way has copied. */
  readonly copied: string;
  /** Name of the Redis set that lists the keys of one ring point. */
  keysOf(generation: number, point: number): string;
  /** Redis hash: ring point to the number of entries in its set. */
  countsOf(generation: number): string;
}

/** @throws RingshiftError INVALID_OPTION */
export function namespaceOf(name: string | undefined): Namespace {
  const given = name === undefined ? DEFAULT_NAMESPACE : name;
  if (typeof given !== "string" || !/^[A-Za-z0-9._-]{1,64}$/.test(given)) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `namespace ${shown(given)}: use 1 to 64 of letters, digits, dot, underscore and hyphen.`,
    );
  }
  const prefix = `ringshift:${given}`;
  return {
    name: given,
    keyPrefix: given === DEFAULT_NAMESPACE ? "" : `${given}:`,
    fenceKey: `${FENCE_KEY_PREFIX}${given}`,
    topology: `${prefix}:topology`,
    channel: `${prefix}:announce`,
    clients: `${prefix}:clients`,
    acknowledged: `${prefix}:acknowledged`,
    lease: `${prefix}:lease`,
    journal: `${prefix}:migration`,
    copied: `${prefix}:migration:copied`,
    keysOf: (generation, point) => `${prefix}:keys:${generation}:${point}`,
    countsOf: (generation) => `${prefix}:counts:${generation}`,
  };
}
