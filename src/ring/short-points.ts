/**
 * A node's points by the md5 of short-md5.ts, for names short enough. Why: the package makes an object, a string and an array for each digest, and a
 * ring anew for each node; of 1,000 nodes that was four fifths of the build.
 *
 * Measured on Node 20, 1,000 nodes of 160 points in a fresh process, on one machine: 53 ms here, 240 ms by `hashring`.
 * tests/ring/points.test.ts holds it against `hashring` and against `crypto`.
 */
import { wireKeyOf } from "./hash.ts";
import { MAX_SHORT_MD5, shortMd5Words } from "./short-md5.ts";

/** Points of one md5: its four words. */
export const POINTS_PER_VNODE = 4;

/** The points in ascending order, or undefined when the name is too long: `hashring` makes them then. */
export function shortPoints(hashedName: string, vnodes: number): Uint32Array | undefined {
  const name = wireKeyOf(hashedName);
  if (`${name}-${vnodes}`.length > MAX_SHORT_MD5) return undefined;
  const points = new Uint32Array(vnodes * POINTS_PER_VNODE);
  for (let i = 0; i < vnodes; i++) shortMd5Words(`${name}-${i}`, points, i * POINTS_PER_VNODE);
  return points.sort();
}
