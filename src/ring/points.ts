/**
 * One node's points as the `hashring` package makes them: md5(`name-i`) for i below the vnode count, four little-endian integers each. Those of a
 * short name are made by a fast path of the same outcome (short-points.ts).
 *
 * The package is asked for a ring of a single node and nothing else, because most of it cannot be trusted:
 * - with several nodes its float floor gives 156 points instead of 160 at 7, 14, 28, 49 ... nodes;
 * - `vnodes` equal to its 'vnode count' is ignored, so that option is always another number;
 * - `get()` caches in a plain object: the legal key `__proto__` pollutes `Object.prototype`. It is never called.
 *
 * Points depend on the name and the vnode count only, so they are remembered: a change of the ring builds the changed node alone.
 */

import HashRing from "hashring";
import { shortPoints } from "./short-points.ts";

/** Points that the cache keeps, over all nodes: 4 MiB, or 6,500 nodes of 160. */
const MAX_CACHED_POINTS = 1 << 20;

const cache = new Map<string, Uint32Array>(); // least recently used first
let cachedPoints = 0;

/**
 * The `4 * vnodes` points of a node in ascending order. The array is shared: read only.
 *
 * @param hashedName the string that is hashed, a valid node name
 * @param vnodes md5 rounds, an integer of 0 or more
 */
export function pointsOf(hashedName: string, vnodes: number): Uint32Array {
  const id = `${vnodes} ${hashedName}`;
  const known = cache.get(id);
  if (known !== undefined) {
    cache.delete(id);
    cache.set(id, known);
    return known;
  }
  const points = shortPoints(hashedName, vnodes) ?? pointsByHashring(hashedName, vnodes);
  cache.set(id, points);
  cachedPoints += points.length;
  evict();
  return points;
}

/** The plain version, for a name of any length. */
export function pointsByHashring(hashedName: string, vnodes: number): Uint32Array {
  if (vnodes === 0) return new Uint32Array(); // hashring reads 0 as "the default count"
  const ring = new HashRing({ [hashedName]: { vnodes } }, "md5", { "vnode count": vnodes + 1 });
  return Uint32Array.from(ring.points([hashedName])[hashedName]!);
}

function evict(): void {
  for (const [id, points] of cache) {
    if (cachedPoints <= MAX_CACHED_POINTS) return;
    cache.delete(id);
    cachedPoints -= points.length;
  }
}
