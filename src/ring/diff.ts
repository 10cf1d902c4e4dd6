/**
 * What a change of the ring means for the keys: the arcs whose owning point or node differs.
 *
 *   from   ──────────────●A1───────────────────●B7───────
 *   to     ──────●C3─────●A1─────────●C9───────●B7───────
 *   arcs   ░░░░░░         unchanged   ░░░░░░░░  none
 *           A1→C3  (A1→A1)   B7→C9    (B7→B7)
 *
 * Both rings are walked together; between two neighbouring points of either, both owners are constant. At a point of a ring that ring's owner
 * changes, so two neighbouring arcs never have the same points: arcs are as long as they can be, and need no merging. Of two large rings nearly
 * all points are the same, and such stretches are passed over as a whole.
 *
 * The arc that wraps round is cut at the ends of the hash range, so that `after < upTo` always holds.
 */

import { fillBuckets } from "./layout.ts";
import type { RingNode } from "./nodes.ts";
import type { Ring } from "./ring.ts";

/** A range of hashes of which the owning point or the node changes. */
export interface Arc {
  /** The hash before the arc's first; -1 when the arc begins at 0. */
  readonly after: number;
  /** The arc's last hash. */
  readonly upTo: number;
  readonly fromPoint: number;
  readonly toPoint: number;
  /** Name of the node that owns the arc before the change. */
  readonly fromNode: string;
  /** Name of the node that owns the arc after the change. */
  readonly toNode: string;
  /** True when the keys change servers; false when only their point does. */
  readonly moves: boolean;
}

const RING_END = 2 ** 32;

/** The difference of two rings. */
export class RingDiff {
  /** Disjoint, in hash order. */
  readonly arcs: readonly Arc[];
  /** The part of all hashes whose node changes, from 0 to 1. */
  readonly movedShare: number;

  readonly #ends: Uint32Array; // arc -> upTo
  readonly #buckets: Uint32Array; // bucket -> the first arc that ends in it or later, and how many arcs there are at the end
  readonly #shift: number; // hash >>> shift is the bucket

  /** Use `diffRings`. @param arcs disjoint, in hash order */
  constructor(arcs: readonly Arc[]) {
    this.arcs = arcs;
    this.#ends = Uint32Array.from(arcs, ({ upTo }) => upTo);
    const bits = Math.max(1, 32 - Math.clz32(arcs.length));
    this.#shift = 32 - bits;
    this.#buckets = new Uint32Array(2 ** bits + 1).fill(arcs.length);
    fillBuckets(this.#buckets, 0, 2 ** bits, this.#ends, 0, this.#shift);
    this.movedShare = arcs.reduce((sum, { moves, after, upTo }) => (moves ? sum + upTo - after : sum), 0) / RING_END;
  }

  /** The arc that a hash (`keyHash`) lies in; undefined when the change does not concern it. Asked for every command while keys move. */
  find(hash: number): Arc | undefined {
    const ends = this.#ends;
    const bucket = hash >>> this.#shift;
    let low = this.#buckets[bucket]!;
    let high = this.#buckets[bucket + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    const arc = this.arcs[low];
    return arc !== undefined && arc.after < hash ? arc : undefined;
  }
}

/** True when a node of the old ring and one of the new are the same server. */
export type SameNode = (fromNode: RingNode, toNode: RingNode) => boolean;

const sameName: SameNode = (fromNode, toNode) => fromNode.name === toNode.name;

/**
 * The arcs that change between two rings, whatever changed: nodes, weights, vnode counts or the compat mode.
 *
 * @param sameNode whether keys stay where they are; by default nodes are the same when their names are. Give another when a name
 *   passes to a new server, or a server to a new name.
 */
export function diffRings(from: Ring, to: Ring, sameNode: SameNode = sameName): RingDiff {
  const arcs: Arc[] = [];
  const twins = twinsOf(from, to, sameNode);
  let fromSlot = 0; // the first slot whose point is above `after`, or size
  let toSlot = 0;
  let after = -1;
  while (after < RING_END - 1) {
    const alike = from.alikeFrom(fromSlot, to, toSlot, twins);
    if (alike > 0) {
      after = from.pointAt(fromSlot + alike - 1);
      fromSlot = slotAbove(from, fromSlot + alike, after);
      toSlot = slotAbove(to, toSlot + alike, after);
      if (after === RING_END - 1) break;
    }
    const upTo = Math.min(boundary(from, fromSlot), boundary(to, toSlot));
    const arc = arcBetween(from, fromSlot % from.size, to, toSlot % to.size, after, upTo, sameNode);
    if (arc !== undefined) arcs.push(arc);
    fromSlot = slotAbove(from, fromSlot, upTo);
    toSlot = slotAbove(to, toSlot, upTo);
    after = upTo;
  }
  return new RingDiff(Object.freeze(arcs));
}

/** By index into the nodes of `from`: the index in `to` of the node of the same name, where keys stay; else -1. */
function twinsOf(from: Ring, to: Ring, sameNode: SameNode): Int32Array {
  return Int32Array.from(from.nodes, (node) => {
    const index = to.indexOf(node.name);
    return index !== undefined && sameNode(node, to.nodes[index]!) ? index : -1;
  });
}

function boundary(ring: Ring, slot: number): number {
  return slot === ring.size ? RING_END - 1 : ring.pointAt(slot);
}

function slotAbove(ring: Ring, slot: number, hash: number): number {
  let next = slot;
  while (next < ring.size && ring.pointAt(next) <= hash) next++; // more than one step over equal points
  return next;
}

function arcBetween(
  from: Ring,
  fromSlot: number,
  to: Ring,
  toSlot: number,
  after: number,
  upTo: number,
  sameNode: SameNode,
): Arc | undefined {
  const fromNode = from.nodes[from.ownerAt(fromSlot)]!;
  const toNode = to.nodes[to.ownerAt(toSlot)]!;
  const fromPoint = from.pointAt(fromSlot);
  const toPoint = to.pointAt(toSlot);
  const moves = !sameNode(fromNode, toNode);
  if (!moves && fromPoint === toPoint && fromNode.name === toNode.name) return undefined;
  return { after, upTo, fromPoint, toPoint, fromNode: fromNode.name, toNode: toNode.name, moves };
}
