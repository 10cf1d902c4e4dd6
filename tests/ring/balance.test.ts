import { describe, expect, it } from "vitest";
import { Ring } from "../../src/ring/index.ts";

/** Largest share of the hashes that one node owns, over the mean share. */
function imbalance(ring: Ring): number {
  const owned = new Float64Array(ring.nodes.length);
  let previous = ring.pointAt(ring.size - 1) - 2 ** 32;
  for (let slot = 0; slot < ring.size; slot++) {
    owned[ring.ownerAt(slot)]! += ring.pointAt(slot) - previous;
    previous = ring.pointAt(slot);
  }
  return (Math.max(...owned) / 2 ** 32) * ring.nodes.length;
}

/** The mean over several sets of names: with one set chance would decide (standard deviation 0.08 with 40 points, 0.02 with 400). */
function meanImbalance(count: number, vnodes: number, sets: number): number {
  let sum = 0;
  for (let set = 0; set < sets; set++) {
    sum += imbalance(new Ring(Array.from({ length: count }, (_, i) => ({ name: `10.${set}.0.${i}:11211`, vnodes }))));
  }
  return sum / sets;
}

describe("largest load over mean load", () => {
  it.each([
    [40, 32, 1.15, 1.24, 1.43],
    [160, 16, 1.07, 1.12, 1.23],
    [400, 8, 1.05, 1.08, 1.13],
    [1600, 4, 1.02, 1.04, 1.07],
  ])(
    "with %d points, over %d sets of names, is about %d, %d, %d for 3, 10, 100 nodes",
    (points, sets, three, ten, hundred) => {
      const expected = [three, ten, hundred];
      const measured = [3, 10, 100].map((count) => meanImbalance(count, points / 4, sets));
      for (const [i, value] of measured.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(0.05);
    },
  );
});

describe("weights", () => {
  it("share the hashes out in proportion", () => {
    const ring = new Ring([
      { name: "a", weight: 10 },
      { name: "b", weight: 20 },
      { name: "c", weight: 30 },
    ]);
    const owned = [0, 0, 0];
    for (let slot = 0, previous = ring.pointAt(ring.size - 1) - 2 ** 32; slot < ring.size; slot++) {
      owned[ring.ownerAt(slot)]! += ring.pointAt(slot) - previous;
      previous = ring.pointAt(slot);
    }
    for (const [i, share] of [1 / 6, 2 / 6, 3 / 6].entries()) {
      expect(Math.abs(owned[i]! / 2 ** 32 - share)).toBeLessThan(0.02);
    }
  });
});
