/**
 * The arrays of a ring: all points in order, their owners, and the table that a lookup begins in.
 *
 *   nodes' points ─► shared out by their upper bits ─► each part sorted ─► points, owners, buckets
 *
 * 1,000 nodes are 160,000 points: more than 100 ms of work, most of it for the nodes' own points. So the work is a generator that can be left
 * off at any yield: `new Ring` runs it in one go, `buildRing` between other things. The arrays of the last rings are kept, since a change of
 * the cluster makes the same two rings for each of its documents.
 */

import { type PlannedNode, planNodes, type RingCompat, type RingNodeInput } from "./nodes.ts";
import { pointsOf } from "./points.ts";
import { POINTS_PER_VNODE } from "./short-points.ts";

/** The arrays are shared: read only. */
export interface Layout {
  readonly points: Uint32Array; // sorted
  readonly owners: Uint16Array; // slot -> index into nodes
  readonly buckets: Uint32Array; // bucket -> its first slot, and `size` at the end
  readonly shift: number; // hash >>> shift is the bucket
}

/** The nodes of a ring, and its arrays. */
export interface LaidOut {
  readonly planned: readonly PlannedNode[];
  readonly layout: Layout;
}

/** An owner index has 16 bits when points and owners are sorted together. */
const OWNER_RANGE = 1 << 16;
const MAX_BUCKET_BITS = 20;
/** Points of a part that is sorted in one go: 0.5 ms. */
const PART_POINTS = 8192;
/** Nodes whose points are counted, or shared out, between two yields. */
const NODES_A_STEP = 8;
/** Buckets filled between two yields. */
const BUCKETS_A_STEP = 4096;
/** Rings whose arrays are kept: the old and the new one of a change, and those of the next. */
const KEPT_LAYOUTS = 4;

const kept = new Map<string, Layout>(); // least recently used first

/** The nodes' layout, in one go. */
export function layoutOf(planned: readonly PlannedNode[]): Layout {
  const steps = layOut(planned);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** As `layoutOf`, in steps of a fraction of a millisecond. A node's own points are one step whatever their number. */
export function* layOut(planned: readonly PlannedNode[]): Generator<undefined, Layout> {
  const id = planned.map(({ node, hashedName }) => `${node.points} ${hashedName}`).join("\n");
  const known = kept.get(id);
  const layout = known ?? (yield* build(planned));
  kept.delete(id);
  kept.set(id, layout);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT_LAYOUTS) break;
    kept.delete(oldest);
  }
  return layout;
}

function* build(planned: readonly PlannedNode[]): Generator<undefined, Layout> {
  const lists: Uint32Array[] = [];
  let size = 0;
  for (const { node, hashedName } of planned) {
    lists.push(pointsOf(hashedName, node.points / POINTS_PER_VNODE));
    size += node.points;
    yield;
  }
  const [tagged, ends] = yield* shareOut(lists, size);
  const points = new Uint32Array(size);
  const owners = new Uint16Array(size);
  let from = 0;
  for (const end of ends) {
    sortPart(tagged, points, owners, from, end);
    from = end;
    yield;
  }
  const bits = Math.min(MAX_BUCKET_BITS, 32 - Math.clz32(size));
  return { points, owners, buckets: yield* bucketsOf(points, bits), shift: 32 - bits };
}

/** All points with their owners, in parts that lie one behind the other on the ring; where each part ends. */
function* shareOut(lists: readonly Uint32Array[], size: number): Generator<undefined, [Float64Array, Uint32Array]> {
  const bits = Math.max(1, 32 - Math.clz32(Math.floor(size / PART_POINTS)));
  const ends = new Uint32Array(2 ** bits);
  for (const [index, list] of lists.entries()) {
    countParts(list, 32 - bits, ends);
    if (index % NODES_A_STEP === NODES_A_STEP - 1) yield;
  }
  let end = 0;
  const next = ends.map((count) => {
    end += count;
    return end - count;
  });
  const tagged = new Float64Array(size);
  for (const [owner, list] of lists.entries()) {
    tag(list, owner, 32 - bits, tagged, next);
    if (owner % NODES_A_STEP === NODES_A_STEP - 1) yield;
  }
  return [tagged, next]; // where the next point of a part would go is where the part ends
}

/** For each of 2^bits equal parts of the hash range its first slot, then the number of slots. */
function* bucketsOf(points: Uint32Array, bits: number): Generator<undefined, Uint32Array> {
  const count = 2 ** bits;
  const buckets = new Uint32Array(count + 1);
  let slot = 0;
  for (let bucket = 0; bucket < count; bucket += BUCKETS_A_STEP) {
    slot = fillBuckets(buckets, bucket, Math.min(count, bucket + BUCKETS_A_STEP), points, slot, 32 - bits);
    yield;
  }
  buckets[count] = points.length;
  return buckets;
}

// The loops over points are functions of their own: V8 compiles no loop of a generator while it runs.

function countParts(list: Uint32Array, shift: number, counts: Uint32Array): void {
  for (let i = 0; i < list.length; i++) counts[list[i]! >>> shift]!++;
}

function tag(list: Uint32Array, owner: number, shift: number, tagged: Float64Array, next: Uint32Array): void {
  for (let i = 0; i < list.length; i++) {
    const part = list[i]! >>> shift;
    tagged[next[part]!++] = list[i]! * OWNER_RANGE + owner;
  }
}

/** Point and owner in one exact double: the typed array's native numeric sort orders by both, without a callback. */
function sortPart(tagged: Float64Array, points: Uint32Array, owners: Uint16Array, from: number, end: number): void {
  tagged.subarray(from, end).sort();
  for (let slot = from; slot < end; slot++) {
    const point = Math.floor(tagged[slot]! / OWNER_RANGE);
    points[slot] = point;
    owners[slot] = tagged[slot]! - point * OWNER_RANGE;
  }
}

/** The first slots of the buckets from `from` to before `end`, which are `firstSlot` or later; returns that of the last bucket. */
export function fillBuckets(
  buckets: Uint32Array,
  from: number,
  end: number,
  points: Uint32Array,
  firstSlot: number,
  shift: number,
): number {
  let slot = firstSlot;
  for (let bucket = from; bucket < end; bucket++) {
    while (slot < points.length && points[slot]! >>> shift < bucket) slot++;
    buckets[bucket] = slot;
  }
  return slot;
}

/**
 * Lays the ring of these nodes out in slices.
 *
 * @param pause ends a slice, and resolves in the next
 * @param over the slice has lasted long enough; asked after the planning and every step
 * @throws INVALID_OPTION as `new Ring`
 */
export async function prepareLayout(
  nodes: readonly RingNodeInput[],
  compat: RingCompat,
  pause: () => Promise<void>,
  over: () => boolean,
): Promise<LaidOut> {
  const planned = planNodes(nodes, compat);
  if (over()) await pause();
  const steps = layOut(planned);
  for (;;) {
    const step = steps.next();
    if (step.done) return { planned, layout: step.value };
    if (over()) await pause();
  }
}
