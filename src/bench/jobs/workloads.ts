/** What is measured in steady state: one client, some calls in flight, for a while. Names say what is done and how many calls are in flight. */

export type Kind = "get" | "miss" | "set" | "set-new" | "mix" | "multi";

export interface Workload {
  readonly name: string;
  readonly kind: Kind;
  readonly inFlight: number;
  readonly nodes: number;
  readonly valueBytes: number;
  /** Different keys that are there. */
  readonly keys: number;
  readonly clients: readonly string[];
  /** More than the default, where much depends on it or a small difference is to be seen. */
  readonly rounds?: number;
}

/** Other Memcached clients. */
export const PEERS = ["memjs+hashring", "memjs", "memcached", "memcache", "memcache-client+hashring"] as const;
/** A loop over bare sockets with ready bytes; the same with what a client cannot do without. */
export const FLOORS = ["floor-bytes", "floor-calls"] as const;
/** ringshift without the get of the fence that ends each flush. For the benchmark only. */
export const UNFENCED = "ringshift-unfenced";
export const OURS = "ringshift";

const ALL = [OURS, ...PEERS, ...FLOORS];
const WITHOUT_FLOORS = [OURS, ...PEERS];
/** Where each request is another one there are no ready bytes. */
const NO_READY = [...WITHOUT_FLOORS, "floor-calls"];
const FENCES = [OURS, UNFENCED];
const FENCE_ROUNDS = 9;
const CORE_ROUNDS = 9;
const MULTI_KEYS = 100;
/** On many servers the others show nothing new. */
const SOME = [OURS, "memjs+hashring", "memcache", "floor-calls"];

const SMALL = { nodes: 3, valueBytes: 100, keys: 10_000 };
const PAGE = { nodes: 3, valueBytes: 4096, keys: 4_000 };
const LARGE = { nodes: 3, valueBytes: 256 * 1024, keys: 120 };

export const WORKLOADS: readonly Workload[] = [
  { name: "get-hit-64", kind: "get", inFlight: 64, clients: ALL, ...SMALL, rounds: CORE_ROUNDS },
  { name: "get-hit-1", kind: "get", inFlight: 1, clients: ALL, ...SMALL },
  { name: "get-hit-1024", kind: "get", inFlight: 1024, clients: ALL, ...SMALL },
  { name: "get-miss-64", kind: "miss", inFlight: 64, clients: ALL, ...SMALL },
  { name: "set-known-64", kind: "set", inFlight: 64, clients: ALL, ...SMALL, rounds: CORE_ROUNDS },
  { name: "set-new-64", kind: "set-new", inFlight: 64, clients: NO_READY, ...SMALL, rounds: CORE_ROUNDS },
  { name: "mix-zipf-64", kind: "mix", inFlight: 64, clients: NO_READY, ...SMALL },
  { name: "get-multi-100", kind: "multi", inFlight: 64, clients: WITHOUT_FLOORS, ...SMALL },
  { name: "get-multi-100-one", kind: "multi", inFlight: 1, clients: WITHOUT_FLOORS, ...SMALL },
  { name: "get-4KiB-64", kind: "get", inFlight: 64, clients: ALL, ...PAGE },
  { name: "set-4KiB-64", kind: "set", inFlight: 64, clients: ALL, ...PAGE },
  { name: "get-256KiB-64", kind: "get", inFlight: 64, clients: ALL, ...LARGE },
  { name: "set-256KiB-64", kind: "set", inFlight: 64, clients: ALL, ...LARGE },
  { name: "get-1-node", kind: "get", inFlight: 64, clients: ALL, ...SMALL, nodes: 1 },
  { name: "get-100-nodes", kind: "get", inFlight: 64, clients: SOME, ...SMALL, nodes: 100 },
  { name: "set-known-100-nodes", kind: "set", inFlight: 64, clients: SOME, ...SMALL, nodes: 100 },
  { name: "fence-get-64", kind: "get", inFlight: 64, clients: FENCES, ...SMALL, rounds: FENCE_ROUNDS },
  { name: "fence-set-64", kind: "set", inFlight: 64, clients: FENCES, ...SMALL, rounds: FENCE_ROUNDS },
];

/** Keys are of one length, so that the floor knows where each ready request begins. */
const KEY_DIGITS = 8;

export function keyOf(i: number): string {
  return `bench:key:${String(i).padStart(KEY_DIGITS, "0")}`;
}

/** Of the same length as a key that is there. */
export function absentKeyOf(i: number): string {
  return `bench:not:${String(i).padStart(KEY_DIGITS, "0")}`;
}

export function keyList(count: number, make = keyOf): string[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** Keys of the i-th multi get: successive ones, round and round. */
export function multiKeys(keys: readonly string[], i: number): string[] {
  return Array.from({ length: MULTI_KEYS }, (_, j) => keys[(i * MULTI_KEYS + j) % keys.length]!);
}

/** Operations of one call. */
export function keysPerCall(kind: Kind): number {
  return kind === "multi" ? MULTI_KEYS : 1;
}

/**
 * Indexes below `count` by Zipf's law: the k-th most popular one comes in proportion to 1 / k^s. Always the same ones.
 * @param draws how many
 */
export function zipfIndexes(count: number, draws: number, s = 0.99): Uint32Array {
  const cumulative = new Float64Array(count);
  let sum = 0;
  for (let k = 0; k < count; k++) {
    sum += 1 / (k + 1) ** s;
    cumulative[k] = sum;
  }
  const indexes = new Uint32Array(draws);
  let state = 0x9e3779b9;
  for (let i = 0; i < draws; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const wanted = (state / 2 ** 32) * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (cumulative[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    indexes[i] = (low * 7919) % count; // the popular keys lie apart, as they do in life
  }
  return indexes;
}
