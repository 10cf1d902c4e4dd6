import { createHash } from "node:crypto";
import type { Ring } from "../../src/ring/index.ts";

/** ketama by the book, straight from the definition: what the ring is held against. */
export function referencePoints(name: string, vnodes: number): number[] {
  const points: number[] = [];
  for (let i = 0; i < vnodes; i++) {
    const digest = createHash("md5").update(`${name}-${i}`).digest();
    for (let offset = 0; offset < 16; offset += 4) points.push(digest.readUInt32LE(offset));
  }
  return points.sort((a, b) => a - b);
}

export function referenceHash(key: string): number {
  return createHash("md5").update(key, "utf8").digest().readUInt32LE(0);
}

/** The owner of a hash by looking at every point of every node. */
export function referenceOwner(ring: Ring, hash: number): [point: number, name: string] {
  let best: [number, string] | undefined;
  let first: [number, string] | undefined;
  for (const name of ring.names) {
    for (const point of ring.getPoints(name)) {
      if (first === undefined || point < first[0]) first = [point, name];
      if (point >= hash && (best === undefined || point < best[0])) best = [point, name];
    }
  }
  return best ?? first!;
}

/** Owning point and node of a hash, by the ring's hot path. */
export function ownerOf(ring: Ring, hash: number): [point: number, name: string] {
  const slot = ring.locate(hash);
  return [ring.pointAt(slot), ring.names[ring.ownerAt(slot)]!];
}

export function nodeNames(count: number): { name: string }[] {
  return Array.from({ length: count }, (_, i) => ({ name: `10.0.0.${i + 1}:11211` }));
}
