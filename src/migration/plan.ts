/**
 * The plan: what a change would move, before anything moves. It reads only the sets of affected points.
 */
import { prepareRings, ringOf, View } from "../protocol/view.ts";
import { type Arc, diffRings, hashOf, type RingDiff } from "../ring/index.ts";
import type { NodeRecord, TopologyDocument } from "../topology/document.ts";
import type { TopologyStore } from "../topology/store.ts";
import { entriesOf } from "./entries.ts";
import { inParallel, SETS_AT_ONCE } from "./in-parallel.ts";

/** Keys between one pair of nodes. */
export interface PlannedMove {
  readonly from: string;
  readonly to: string;
  readonly arcs: number;
  /** Index entries in these arcs: they may include expired or deleted keys until a sweep. */
  readonly keys: number;
}

export interface Plan {
  readonly nodes: readonly NodeRecord[];
  readonly moves: readonly PlannedMove[];
  /** Entries to move, in all. */
  readonly keys: number;
  /** Entries of which only the index set changes. */
  readonly relisted: number;
  /** Part of the hash range that changes its owner, 0 to 1. */
  readonly ringShare: number;
  /** Part that an ideal ring would move, 0 to 1. */
  readonly idealShare: number;
  readonly arcs: number;
  /** Sets of affected points: the only ones that are read. */
  readonly setsRead: number;
  /** Sets of all points of the present ring. */
  readonly setsTotal: number;
}

/** The one of a few arcs that a hash lies in. */
export function arcAt<Span extends Pick<Arc, "after" | "upTo">>(arcs: readonly Span[], hash: number): Span | undefined {
  for (let i = 0; i < arcs.length; i++) {
    const arc = arcs[i]!;
    if (hash > arc.after && hash <= arc.upTo) return arc;
  }
  return undefined;
}

/** Arcs by the point whose set lists their keys now. */
export function arcsByPoint(diff: RingDiff): Map<number, Arc[]> {
  const points = new Map<number, Arc[]>();
  for (const arc of diff.arcs) {
    const arcs = points.get(arc.fromPoint);
    if (arcs === undefined) points.set(arc.fromPoint, [arc]);
    else arcs.push(arc);
  }
  return points;
}

/** Reads the sets of the affected points and counts. @throws RingshiftError REDIS_UNREACHABLE */
export async function makePlan(
  store: TopologyStore,
  document: TopologyDocument,
  nodes: readonly NodeRecord[],
): Promise<Plan> {
  await prepareRings(document, nodes);
  const present = ringOf(document, document.nodes);
  const next = ringOf(document, nodes);
  const byIndex = (list: readonly NodeRecord[]) => new Map(list.map((node) => [node.name, node.index]));
  const [was, will] = [byIndex(document.nodes), byIndex(nodes)];
  const diff = diffRings(present, next, (from, to) => was.get(from.name) === will.get(to.name));
  const affected = arcsByPoint(diff);
  const moves = new Map<string, { from: string; to: string; arcs: number; keys: number }>();
  for (const arc of diff.arcs) {
    if (!arc.moves) continue;
    const id = `${arc.fromNode}\n${arc.toNode}`;
    const move = moves.get(id) ?? { from: arc.fromNode, to: arc.toNode, arcs: 0, keys: 0 };
    move.arcs++;
    moves.set(id, move);
  }
  let relisted = 0;
  await inParallel(affected, SETS_AT_ONCE, async ([point, arcs]) => {
    const seen = new Set<string>(); // a key may come twice
    const counts = new Map(arcs.map((arc) => [arc, 0]));
    for await (const page of entriesOf(store, document, point)) for (const key of page) seen.add(key);
    for (const key of seen) {
      const arc = arcAt(arcs, hashOf(key, document.ring.hashTags));
      if (arc !== undefined) counts.set(arc, counts.get(arc)! + 1);
    }
    for (const [arc, keys] of counts) {
      if (arc.moves) moves.get(`${arc.fromNode}\n${arc.toNode}`)!.keys += keys;
      else relisted += keys;
    }
  });
  const planned = [...moves.values()].sort((a, b) => b.keys - a.keys || a.from.localeCompare(b.from));
  return {
    nodes,
    moves: planned,
    keys: planned.reduce((sum, move) => sum + move.keys, 0),
    relisted,
    ringShare: diff.movedShare,
    idealShare: idealShare(document.nodes, nodes),
    arcs: diff.arcs.length,
    setsRead: affected.size,
    setsTotal: present.size,
  };
}

/** Half the sum of the differences of the nodes' shares of all weight: what any placement has to move. */
function idealShare(before: readonly NodeRecord[], after: readonly NodeRecord[]): number {
  const shares = (nodes: readonly NodeRecord[]) => {
    const weight = (node: NodeRecord) => (node.vnodes === undefined ? (node.weight ?? 1) : node.vnodes / 40);
    const total = nodes.reduce((sum, node) => sum + weight(node), 0);
    return new Map(nodes.map((node) => [node.index, weight(node) / total]));
  };
  const [from, to] = [shares(before), shares(after)];
  let sum = 0;
  for (const index of new Set([...from.keys(), ...to.keys()])) {
    sum += Math.abs((to.get(index) ?? 0) - (from.get(index) ?? 0));
  }
  return sum / 2;
}

/** A view of a document that no process routes by: for plans and questions. */
export function viewOf(document: TopologyDocument): View {
  return new View(document, document.runId, 0);
}
