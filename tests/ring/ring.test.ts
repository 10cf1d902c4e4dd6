import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isRingshiftError } from "../../src/errors.ts";
import { Ring } from "../../src/ring/index.ts";
import { nodeNames, ownerOf, referenceHash, referenceOwner, referencePoints } from "./support.ts";

const KEYS = Array.from({ length: 2000 }, (_, i) => `user:${i}:profile`);
const HASHES = KEYS.map(referenceHash);

const owners = (ring: Ring): string[] => HASHES.map((hash) => ownerOf(ring, hash)[1]);

describe("points", () => {
  it("are md5(name-i), four little-endian integers each", () => {
    const ring = new Ring([{ name: "a" }, { name: "b", weight: 0.5 }, { name: "[::1]:11211", vnodes: 7 }]);
    expect(ring.getPoints("a")).toEqual(referencePoints("a", 40));
    expect(ring.getPoints("b")).toEqual(referencePoints("b", 20));
    expect(ring.getPoints("[::1]:11211")).toEqual(referencePoints("[::1]:11211", 7));
    expect(ring.size).toBe(268);
    expect(ring.getPoints()).toEqual(ring.names.flatMap((name) => ring.getPoints(name)).sort((a, b) => a - b));
  });

  it.each([
    [0.001, 4],
    [0.0125, 4],
    [0.0375, 8],
    [1, 160],
    [1.49, 240],
    [2.5, 400],
    [102.4, 16384],
  ])("weight %d gives %d", (weight, points) => {
    const ring = new Ring([{ name: "a", weight }]);
    expect(ring.nodes[0]!.points).toBe(points);
    expect(ring.size).toBe(points);
  });

  it("of an unknown node are an error", () => {
    const ring = new Ring(nodeNames(2));
    for (const name of ["nobody:1", "__proto__", "constructor"]) {
      expect(() => ring.getPoints(name)).toThrow(
        expect.toSatisfy((error) => isRingshiftError(error, "NODE_UNKNOWN") && error.node === name),
      );
    }
  });

  it("are copies: changing them leaves the ring as it is", () => {
    const ring = new Ring(nodeNames(2));
    const before = ring.getServer("a");
    ring.getPoints().fill(0);
    ring.getPoints("10.0.0.1:11211").fill(0);
    expect(ring.getServer("a")).toEqual(before);
    expect(new Ring(nodeNames(2)).getPoints()).toEqual(ring.getPoints());
  });
});

describe("the order of the nodes", () => {
  it("is by name, and does not matter to the ring", () => {
    const nodes = [{ name: "b:1", weight: 2 }, { name: "a:1" }, { name: "B:1", vnodes: 3 }];
    const ring = new Ring(nodes);
    expect(ring.names).toEqual(["B:1", "a:1", "b:1"]);
    expect(owners(new Ring(nodes.toReversed()))).toEqual(owners(ring));
    expect(ring.indexOf("b:1")).toBe(2);
    expect(ring.indexOf("c:1")).toBeUndefined();
  });

  it("is the list's in the compat modes", () => {
    const nodes = [{ name: "b:1" }, { name: "a:1" }];
    expect(new Ring(nodes, { compat: "libketama" }).names).toEqual(["b:1", "a:1"]);
  });

  it("survives a round trip through nodes", () => {
    const ring = new Ring([{ name: "a", weight: 0.3 }, { name: "b", vnodes: 9 }, { name: "c" }]);
    expect(new Ring(ring.nodes).getPoints()).toEqual(ring.getPoints());
    expect(ring.nodes.map(({ weight, vnodes }) => [weight, vnodes])).toEqual([
      [0.3, undefined],
      [undefined, 9],
      [1, undefined],
    ]);
  });
});

describe("lookup", () => {
  it("finds the first point at or above the hash, wrapping round", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 })), fc.nat(), (vnodes, random, pick) => {
        const ring = new Ring(vnodes.map((count, i) => ({ name: `n${i}:${count}`, vnodes: count })));
        const point = ring.pointAt(pick % ring.size);
        for (const hash of [...random, 0, 2 ** 32 - 1, point, Math.max(0, point - 1), (point + 1) % 2 ** 32]) {
          expect(ownerOf(ring, hash)).toEqual(referenceOwner(ring, hash));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("routes the names of Object.prototype's properties as md5 says, and leaves Object.prototype alone", () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const first = new Ring(nodeNames(5));
    const second = new Ring(nodeNames(9));
    expect(before).toContain("__proto__");
    for (const ring of [first, second, first]) {
      for (const key of before) expect(ring.getServer(key)).toEqual(referenceOwner(ring, referenceHash(key)));
    }
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    expect(({} as Record<string, unknown>)["10.0.0.1:11211"]).toBeUndefined();
  });
});

describe("from 1 to 120 equal nodes", () => {
  it("each has exactly 160 points, additions move keys to the new node only, removals from the removed only", () => {
    let before: string[] | undefined;
    for (let count = 1; count <= 120; count++) {
      const ring = new Ring(nodeNames(count));
      expect(ring.size).toBe(160 * count);
      const perNode = new Uint32Array(count);
      for (let slot = 0; slot < ring.size; slot++) perNode[ring.ownerAt(slot)]!++;
      expect(new Set(perNode)).toEqual(new Set([160]));
      const after = owners(ring);
      const added = `10.0.0.${count}:11211`;
      // Both directions of the change: growing, a key that moves is now on the added node; shrinking, it came from it.
      const moved = before === undefined ? [] : after.filter((owner, i) => owner !== before![i]);
      expect(moved.filter((owner) => owner !== added)).toEqual([]);
      if (before !== undefined) expect(moved.length).toBeGreaterThan(0);
      before = after;
    }
  });

  it("the same holds for a node removed from the middle", () => {
    for (const count of [2, 7, 14, 28, 49, 56, 98, 120]) {
      const nodes = nodeNames(count);
      const [removed] = nodes.splice(count >> 1, 1);
      const before = owners(new Ring(nodeNames(count)));
      const after = owners(new Ring(nodes));
      const losers = before.filter((owner, i) => owner !== after[i]);
      expect(new Set(losers)).toEqual(new Set([removed!.name]));
    }
  });
});
