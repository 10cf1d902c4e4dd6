/** What a change means for the keys of one index set: which of them move, from where to where, and which are only listed elsewhere. */
import type { PullKey } from "../protocol/pull.ts";
import type { View } from "../protocol/view.ts";
import type { Arc } from "../ring/index.ts";
import { isDead, type NodeRecord } from "../topology/document.ts";
import type { PointEntries } from "../topology/store.ts";
import { arcAt } from "./plan.ts";

/** Keys of one set that are on their way; settled when the last has arrived. */
export interface Tally {
  open: number;
  moved: number;
  /** To be called when the last has; undefined while there may be more keys to come. */
  arrived: (() => Promise<void>) | undefined;
}

/** A key that moves: everything that any step needs to know of it, found out once. */
export interface MovingKey extends PullKey {
  readonly source: NodeRecord;
  readonly target: NodeRecord;
  readonly tally: Tally;
}

interface Way {
  readonly after: number;
  readonly upTo: number;
  readonly point: number;
  /** Undefined: the keys stay on their node. */
  readonly target: NodeRecord | undefined;
  readonly source: NodeRecord | undefined;
  /** There is nobody to pull from (abandon.ts). */
  readonly dead: boolean;
}

export class MovingKeys {
  readonly #view: View;
  readonly #ways = new Map<number, Way[]>();

  /** @param points arcs by the point whose set lists their keys now (`arcsByPoint`) */
  constructor(view: View, points: ReadonlyMap<number, readonly Arc[]>) {
    const { document } = view;
    const after = new Map(document.nodes.map((node) => [node.name, node]));
    const before = new Map((document.previousNodes ?? []).map((node) => [node.name, node]));
    this.#view = view;
    for (const [point, arcs] of points) {
      const ways = arcs.map(({ moves, fromNode, toNode, toPoint, ...arc }) => ({
        after: arc.after,
        upTo: arc.upTo,
        point: toPoint,
        target: moves ? after.get(toNode) : undefined,
        source: moves ? before.get(fromNode) : undefined,
        dead: moves && isDead(document, fromNode),
      }));
      this.#ways.set(point, ways);
    }
  }

  /**
   * The keys of this point's set that are to be pulled. Entries that are left over from former rings are passed over.
   * @param staying takes the keys that stay on their node, under their points of the new ring
   */
  of(point: number, keys: readonly string[], tally: Tally, staying?: Map<number, string[]>): MovingKey[] {
    const ways = this.#ways.get(point) ?? [];
    const moving: MovingKey[] = [];
    for (const key of keys) {
      const hash = this.#view.hashOf(key);
      const way = arcAt(ways, hash);
      if (way === undefined || way.dead) continue;
      if (way.target !== undefined) {
        moving.push({ key, hash, point: way.point, source: way.source!, target: way.target, tally });
      } else if (staying !== undefined) {
        addTo(staying, way.point, key);
      }
    }
    return moving;
  }
}

/** Puts an item into its group. */
export function addTo<Group, Item>(groups: Map<Group, Item[]>, group: Group, item: Item): void {
  const items = groups.get(group);
  if (items === undefined) groups.set(group, [item]);
  else items.push(item);
}

export function entriesIn(points: ReadonlyMap<number, string[]>): PointEntries[] {
  return Array.from(points, ([point, keys]) => ({ point, keys }));
}
