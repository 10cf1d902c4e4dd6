/**
 * The ring: which point, and so which node, owns a key.
 *
 *        0                                                            2^32 - 1
 *   hash ├──────────┬───────────────┬────────────┬──────────────────────┤
 *   slot      0     │       1       │     2      │    wraps to slot 0
 *                 point           point        point
 *
 * A hash belongs to the first point at or above it; above the last point it wraps to the first. Points lie in one sorted typed array and a
 * *slot* is a place in it. A table of as many buckets as points cuts the hash range evenly and says where each bucket's points begin, so that
 * a lookup searches one or two points whatever the ring's size.
 */

import { RingshiftError, shown } from "../errors.ts";
import { keyHash, wireKeyOf } from "./hash.ts";
import { type LaidOut, layoutOf, prepareLayout } from "./layout.ts";
import { planNodes, RING_COMPATS, type RingCompat, type RingNode, type RingNodeInput } from "./nodes.ts";

export interface RingOptions {
  /** How points are made and shared out. Default `ringshift`. */
  readonly compat?: RingCompat | undefined;
}

/** An immutable ketama ring. Equal nodes and options give equal rings, in any order of the nodes unless `compat` says otherwise. */
export class Ring {
  readonly compat: RingCompat;
  /** The nodes in ring order: by name, or as listed in the compat modes. On equal points the first of them wins. */
  readonly nodes: readonly RingNode[];
  /** The nodes' names, in the order of `nodes`. */
  readonly names: readonly string[];
  /** Points on the ring, and so slots. */
  readonly size: number;

  readonly #indexes: ReadonlyMap<string, number>;
  readonly #points: Uint32Array; // sorted
  readonly #owners: Uint16Array; // slot -> index into nodes
  readonly #buckets: Uint32Array; // bucket -> its first slot, and `size` at the end
  readonly #shift: number; // hash >>> shift is the bucket

  /**
   * @param laidOut for `buildRing`: what it has made of them already
   * @throws INVALID_OPTION for an empty list, duplicates, bad names, weights, vnodes or an unknown `compat`
   */
  constructor(nodes: readonly RingNodeInput[], options: RingOptions = {}, laidOut?: LaidOut) {
    const { compat = "ringshift" } = options;
    if (!RING_COMPATS.includes(compat)) {
      throw new RingshiftError("INVALID_OPTION", `compat ${shown(compat)}: one of ${RING_COMPATS.join(", ")}`);
    }
    const planned = laidOut?.planned ?? planNodes(nodes, compat);
    this.compat = compat;
    this.nodes = Object.freeze(planned.map(({ node }) => node));
    this.names = Object.freeze(this.nodes.map(({ name }) => name));
    this.#indexes = new Map(this.names.map((name, index) => [name, index]));
    const layout = laidOut?.layout ?? layoutOf(planned);
    this.#points = layout.points;
    this.#owners = layout.owners;
    this.#buckets = layout.buckets;
    this.#shift = layout.shift;
    this.size = layout.points.length;
  }

  /**
   * The owner of a key, as ketama's libraries answer it.
   *
   * @param key the whole key, prefix included; its UTF-8 bytes are hashed
   * @returns the owning point and the name of its node
   */
  getServer(key: string): [point: number, name: string] {
    const slot = this.locate(keyHash(wireKeyOf(key)));
    return [this.pointAt(slot), this.names[this.ownerAt(slot)]!];
  }

  /**
   * The points of one node, or of the whole ring, in ascending order. A point that two nodes share is among both's.
   *
   * @throws NODE_UNKNOWN
   */
  getPoints(name?: string): number[] {
    if (name === undefined) return Array.from(this.#points);
    const index = this.indexOf(name);
    if (index === undefined) {
      throw new RingshiftError("NODE_UNKNOWN", `no node "${name}" in the ring of ${this.names.join(", ")}`, {
        node: name,
      });
    }
    const points: number[] = [];
    for (let slot = 0; slot < this.size; slot++) if (this.#owners[slot] === index) points.push(this.#points[slot]!);
    return points;
  }

  /** A node's index into `nodes`, or undefined. */
  indexOf(name: string): number | undefined {
    return this.#indexes.get(name);
  }

  /**
   * The slot that owns a hash. With `pointAt` and `ownerAt` this is the hot path: no allocation, no string.
   *
   * @param hash an integer from 0 to 2^32 - 1, from `keyHash`
   */
  locate(hash: number): number {
    const bucket = hash >>> this.#shift;
    let low = this.#buckets[bucket]!;
    let high = this.#buckets[bucket + 1]!; // the first slot past the bucket is the answer when all of its points are below
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#points[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    return low === this.size ? 0 : low;
  }

  /** The point of a slot. Slots count from 0 to `size - 1` by ascending point. */
  pointAt(slot: number): number {
    return this.#points[slot]!;
  }

  /** The node of a slot, as an index into `nodes`. */
  ownerAt(slot: number): number {
    return this.#owners[slot]!;
  }

  /**
   * How many slots in a row, from `slot` on, have the points and owners that another ring's have from `otherSlot` on.
   *
   * @param twins by index into `nodes`: the index of that node in the other ring, or -1
   */
  alikeFrom(slot: number, other: Ring, otherSlot: number, twins: Int32Array): number {
    const [points, owners, otherPoints, otherOwners] = [this.#points, this.#owners, other.#points, other.#owners];
    const most = Math.min(points.length - slot, otherPoints.length - otherSlot);
    let count = 0;
    while (
      count < most &&
      points[slot + count] === otherPoints[otherSlot + count] &&
      twins[owners[slot + count]!] === otherOwners[otherSlot + count]
    ) {
      count++;
    }
    return count;
  }
}

/**
 * Of the event loop, for one slice. Timed, since work that is not compiled yet takes ten times as long, and that is the usual case: a process
 * builds its first ring when it starts. A slice ends with the step that goes beyond this: one that V8 compiles beside, on a core that the
 * process has for itself alone, takes 5 to 9 ms, so slices of 2 ms were at times longer than 10.
 */
const SLICE_MS = 1;

/**
 * As `new Ring`, in slices of a millisecond and a step of the event loop: of 1,000 nodes it is more than 100 ms of work. Points are remembered by node, so
 * after a change only the changed node's are made.
 *
 * @throws INVALID_OPTION as `new Ring`
 */
export async function buildRing(nodes: readonly RingNodeInput[], options: RingOptions = {}): Promise<Ring> {
  const { compat = "ringshift" } = options;
  if (!RING_COMPATS.includes(compat)) return new Ring(nodes, options); // throws
  let began = performance.now();
  const pause = async (): Promise<void> => {
    await new Promise<void>((resolve) => setImmediate(resolve));
    began = performance.now();
  };
  const laidOut = await prepareLayout(nodes, compat, pause, () => performance.now() - began > SLICE_MS);
  await pause();
  return new Ring(nodes, options, laidOut);
}
