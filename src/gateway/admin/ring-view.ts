/**
 * The ring for drawing: its arcs with their owners, neighbours of one owner joined, and those that are moving. A ring with more arcs than
 * a screen has room for is cut into equal slices, each given to the node that owns most of it.
 */
import type { View } from "../../protocol/view.ts";
import type { Ring } from "../../ring/index.ts";

/** `[from, to, node]`: hashes above `from` up to `to`, and the node's place in `nodes`. */
export type DrawnArc = readonly [from: number, to: number, node: number];

export interface RingView {
  readonly epoch: number;
  readonly phase: string;
  /** Points in all. */
  readonly points: number;
  readonly nodes: readonly {
    readonly index: number;
    readonly name: string;
    readonly points: number;
    readonly share: number;
  }[];
  /** Of the new ring, in hash order; together they are the whole ring. */
  readonly arcs: readonly DrawnArc[];
  /** The arcs that change servers, with the node that they come from. */
  readonly moving: readonly DrawnArc[];
  /** True where slices stand for arcs. */
  readonly sliced: boolean;
}

const MAX_ARCS = 4_096;
const SLICES = 1_440;
const END = 2 ** 32;

export function ringView(
  view: View,
  shares: ReadonlyMap<string, { readonly points: number; readonly share: number }>,
): RingView {
  const { document, ring } = view;
  const exact = arcsOf(ring);
  const sliced = exact.length > MAX_ARCS;
  const nodes = ring.names.map((name) => {
    const index = document.nodes.find((node) => node.name === name)!.index;
    return { index, name, ...(shares.get(name) ?? { points: 0, share: 0 }) };
  });
  const moving = document.phase === "S" ? [] : (view.diff?.arcs ?? []).filter((arc) => arc.moves);
  const place = new Map(ring.names.map((name, i) => [name, i]));
  return {
    epoch: document.epoch,
    phase: document.phase,
    points: ring.size,
    nodes,
    arcs: sliced ? slicesOf(exact) : exact,
    moving: moving.slice(0, MAX_ARCS).map(({ after, upTo, toNode }) => [after, upTo, place.get(toNode) ?? -1]),
    sliced,
  };
}

function arcsOf(ring: Ring): DrawnArc[] {
  const arcs: [number, number, number][] = [];
  const add = (from: number, to: number, owner: number) => {
    const last = arcs.at(-1);
    if (last?.[2] === owner) last[1] = to;
    else if (to > from) arcs.push([from, to, owner]);
  };
  let before = -1;
  for (let slot = 0; slot < ring.size; slot++) {
    add(before, ring.pointAt(slot), ring.ownerAt(slot));
    before = ring.pointAt(slot);
  }
  add(before, END - 1, ring.ownerAt(0)); // above the last point the ring wraps to the first
  return arcs;
}

function slicesOf(arcs: readonly DrawnArc[]): DrawnArc[] {
  const slices: [number, number, number][] = [];
  let i = 0;
  for (let n = 0; n < SLICES; n++) {
    const [from, to] = [Math.floor((n * END) / SLICES) - 1, Math.floor(((n + 1) * END) / SLICES) - 1];
    const held = new Map<number, number>();
    for (; i < arcs.length; i++) {
      const [begin, end, owner] = arcs[i]!;
      held.set(owner, (held.get(owner) ?? 0) + Math.min(end, to) - Math.max(begin, from));
      if (end > to) break;
    }
    const [most] = [...held].sort((a, b) => b[1] - a[1])[0]!;
    const last = slices.at(-1);
    if (last?.[2] === most) last[1] = to;
    else slices.push([from, to, most]);
  }
  return slices;
}
