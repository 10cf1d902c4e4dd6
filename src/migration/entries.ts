/** The index as a migration reads it: while a sweep replaces a generation, an entry may stand in either. */

import type { View } from "../protocol/view.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type { PointEntries, TopologyStore } from "../topology/store.ts";

/** The generations of the index that may list a live key, the one that is written first. */
export function generationsOf({ generation, sweeping }: TopologyDocument): number[] {
  return sweeping === undefined || sweeping === null ? [generation] : [generation, sweeping];
}

/** The keys that the index lists under one point, in pages. A key may come twice. */
export async function* entriesOf(
  store: Pick<TopologyStore, "entries">,
  document: TopologyDocument,
  point: number,
): AsyncIterable<string[]> {
  for (const generation of generationsOf(document)) yield* store.entries(generation, point);
}

/** The keys under the points that own them in the view's ring. */
export function entriesByPoint(view: View, keys: readonly string[]): PointEntries[] {
  const byPoint = new Map<number, string[]>();
  for (const key of keys) {
    const point = view.ring.pointAt(view.ring.locate(view.hashOf(key)));
    const listed = byPoint.get(point);
    if (listed === undefined) byPoint.set(point, [key]);
    else listed.push(key);
  }
  return Array.from(byPoint, ([point, listed]) => ({ point, keys: listed }));
}
