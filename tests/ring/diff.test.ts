import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Arc, diffRings, Ring, type RingDiff, type RingNodeInput } from "../../src/ring/index.ts";
import { nodeNames, ownerOf } from "./support.ts";

const LAST = 2 ** 32 - 1;

/** Both have the point 2519084465, as a list of the reference vectors says. */
const COLLIDING = [{ name: "cache537:11212" }, { name: "cache858:11212" }];

const size = fc.oneof(
  fc.record({ weight: fc.double({ min: 0.02, max: 2, noNaN: true }) }),
  fc.record({ vnodes: fc.integer({ min: 1, max: 60 }) }),
);
const nodeList: fc.Arbitrary<RingNodeInput[]> = fc
  .uniqueArray(fc.tuple(fc.constantFrom("a:1", "b:1", "c:1", "d:1", "e:1"), size), {
    minLength: 1,
    selector: ([name]) => name,
  })
  .map((entries) => entries.map(([name, share]) => ({ name, ...share })));
const hashes = fc.array(fc.integer({ min: 0, max: LAST }), { minLength: 50, maxLength: 50 });

/** What a lookup in both rings says of one hash, in the form of an arc. */
function compare(from: Ring, to: Ring, hash: number): Omit<Arc, "after" | "upTo"> | undefined {
  const [fromPoint, fromNode] = ownerOf(from, hash);
  const [toPoint, toNode] = ownerOf(to, hash);
  if (fromPoint === toPoint && fromNode === toNode) return undefined;
  return { fromPoint, toPoint, fromNode, toNode, moves: fromNode !== toNode };
}

function expectAgrees(from: Ring, to: Ring, diff: RingDiff, hash: number): void {
  const arc = diff.find(hash);
  const expected = compare(from, to, hash);
  if (expected === undefined) expect(arc).toBeUndefined();
  else expect(arc).toMatchObject(expected);
}

function expectOrdered({ arcs, movedShare }: RingDiff): void {
  let end = -1;
  let moved = 0;
  for (const [i, arc] of arcs.entries()) {
    expect(arc.after).toBeGreaterThanOrEqual(end);
    expect(arc.upTo).toBeGreaterThan(arc.after);
    // neighbours that could be one arc would be
    if (i > 0 && arc.after === end)
      expect({ ...arcs[i - 1], after: 0, upTo: 0 }).not.toEqual({ ...arc, after: 0, upTo: 0 });
    end = arc.upTo;
    if (arc.moves) moved += arc.upTo - arc.after;
  }
  expect(end).toBeLessThanOrEqual(LAST);
  expect(movedShare).toBe(moved / 2 ** 32);
}

describe("diffRings", () => {
  it("agrees with comparing both rings' lookups, at any hash and at every border", () => {
    fc.assert(
      fc.property(nodeList, nodeList, hashes, (before, after, random) => {
        const from = new Ring(before);
        const to = new Ring(after);
        const diff = diffRings(from, to);
        expectOrdered(diff);
        const borders = diff.arcs.flatMap((arc) => [arc.after, arc.after + 1, arc.upTo, arc.upTo + 1]);
        for (const hash of [...random, ...borders, 0, LAST]) {
          if (hash >= 0 && hash <= LAST) expectAgrees(from, to, diff, hash);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("a higher vnode count moves keys to that node only, and about as many as its part of the points grows", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 20, max: 80 }),
        fc.integer({ min: 1, max: 80 }),
        (n, vnodes, more) => {
          const nodes = nodeNames(n).map(({ name }) => ({ name, vnodes }));
          const grown = nodes.map((node, i) => (i === 0 ? { ...node, vnodes: vnodes + more } : node));
          const diff = diffRings(new Ring(nodes), new Ring(grown));
          const moving = diff.arcs.filter(({ moves }) => moves);
          expect(new Set(moving.map(({ toNode }) => toNode))).toEqual(new Set([nodes[0]!.name]));
          const expected = (vnodes + more) / (vnodes * n + more) - 1 / n;
          expect(Math.abs(diff.movedShare - expected)).toBeLessThan(0.08); // 0.074 is the worst of all these cases
          // what growing gives, shrinking takes back
          const back = diffRings(new Ring(grown), new Ring(nodes));
          expect(back.movedShare).toBe(diff.movedShare);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("of equal rings is empty", () => {
    const diff = diffRings(new Ring(nodeNames(5)), new Ring(nodeNames(5).reverse()));
    expect(diff.arcs).toEqual([]);
    expect(diff.movedShare).toBe(0);
    expect(diff.find(0)).toBeUndefined();
    expect(diff.find(LAST)).toBeUndefined();
  });

  it("of n and n + 1 nodes moves about 1 / (n + 1) of the hashes, and has at most two arcs per new point", () => {
    for (const n of [1, 4, 9, 48]) {
      const diff = diffRings(new Ring(nodeNames(n)), new Ring(nodeNames(n + 1)));
      expect(diff.movedShare * (n + 1)).toBeGreaterThan(0.75);
      expect(diff.movedShare * (n + 1)).toBeLessThan(1.25);
      expect(diff.arcs.length).toBeLessThanOrEqual(161);
      expect(diff.arcs.every(({ moves, toNode }) => moves && toNode === `10.0.0.${n + 1}:11211`)).toBe(true);
    }
  });

  it("cuts the arc that wraps round at both ends of the hash range", () => {
    const from = new Ring([{ name: "a", vnodes: 1 }]);
    const to = new Ring([{ name: "b", vnodes: 1 }]);
    const diff = diffRings(from, to);
    expectOrdered(diff);
    const [first, last] = [diff.arcs[0]!, diff.arcs.at(-1)!];
    const wrapping = { fromPoint: from.pointAt(0), toPoint: to.pointAt(0), fromNode: "a", toNode: "b", moves: true };
    expect(first).toEqual({ ...wrapping, after: -1, upTo: Math.min(from.pointAt(0), to.pointAt(0)) });
    expect(last).toEqual({ ...wrapping, after: Math.max(from.pointAt(3), to.pointAt(3)), upTo: LAST });
    expect(diff.find(0)).toBe(first);
    expect(diff.find(LAST)).toBe(last);
    expect(diff.movedShare).toBe(1);
  });

  it("lists arcs that change only their point, and does not count them as moved", () => {
    const from = new Ring([{ name: "a", vnodes: 2 }]);
    const to = new Ring([{ name: "a", vnodes: 3 }]);
    const diff = diffRings(from, to);
    expect(diff.arcs.length).toBeGreaterThanOrEqual(4);
    expect(diff.arcs.every(({ moves, fromNode, toNode }) => !moves && fromNode === "a" && toNode === "a")).toBe(true);
    expect(diff.movedShare).toBe(0);
  });

  it("tells a replaced server by sameNode: same name and points, other machine", () => {
    const ring = new Ring(nodeNames(4));
    const replaced = "10.0.0.3:11211";
    const diff = diffRings(ring, new Ring(nodeNames(4)), (a, b) => a.name === b.name && a.name !== replaced);
    expect(diff.arcs.every((arc) => arc.moves && arc.fromNode === replaced && arc.fromPoint === arc.toPoint)).toBe(
      true,
    );
    for (let slot = 0; slot < ring.size; slot++) {
      expect(diff.find(ring.pointAt(slot)) !== undefined).toBe(ring.names[ring.ownerAt(slot)] === replaced);
    }
  });

  it("tells a renamed server by sameNode: points change, keys stay", () => {
    const diff = diffRings(new Ring([{ name: "old:1" }]), new Ring([{ name: "new:1" }]), () => true);
    expect(diff.arcs.length).toBeGreaterThan(160);
    expect(diff.movedShare).toBe(0);
  });

  it("handles points that two nodes share", () => {
    const from = new Ring(COLLIDING);
    for (const name of COLLIDING.map((node) => node.name)) {
      const to = new Ring([{ name }]);
      for (const diff of [diffRings(from, to), diffRings(to, from)]) expectOrdered(diff);
      for (const hash of [2519084464, 2519084465, 2519084466]) {
        expectAgrees(from, to, diffRings(from, to), hash);
        expectAgrees(to, from, diffRings(to, from), hash);
      }
    }
  });
});
