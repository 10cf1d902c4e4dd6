/** The fast path for a node's points gives what the package gives, which is what ketama's text says. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pointsByHashring, pointsOf } from "../../src/ring/points.ts";
import { MAX_SHORT_MD5 } from "../../src/ring/short-md5.ts";
import { shortPoints } from "../../src/ring/short-points.ts";
import { referencePoints } from "./support.ts";

describe("shortPoints", () => {
  it("makes the package's points of every length of name that it takes, and no others", () => {
    for (let length = 1; length <= MAX_SHORT_MD5; length++) {
      const name = "abcdefghij.".repeat(5).slice(0, length);
      const points = shortPoints(name, 40);
      expect(points === undefined, `${length} chars`).toBe(length + "-40".length > MAX_SHORT_MD5);
      if (points !== undefined) expect(points).toEqual(pointsByHashring(name, 40));
    }
  });

  it("makes the package's points of any name and vnode count", () => {
    const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter((name) => name !== "__proto__");
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 200 }), (name, vnodes) => {
        const points = shortPoints(name, vnodes);
        if (points === undefined) return;
        expect(Array.from(points)).toEqual(referencePoints(name, vnodes));
        expect(points).toEqual(pointsByHashring(name, vnodes));
      }),
    );
  });

  it("makes 4,096 vnodes as the package does", () => {
    expect(shortPoints("10.0.0.1:11211", 4096)).toEqual(pointsByHashring("10.0.0.1:11211", 4096));
  });
});

describe("pointsOf", () => {
  it("makes the points of a name of any length", () => {
    for (const length of [1, 51, 52, 53, 54, 55, 56, 100, 250]) {
      const name = `${"n".repeat(length - 1)}:`;
      expect(Array.from(pointsOf(name, 40)), `${length} chars`).toEqual(referencePoints(name, 40));
    }
  });

  it("makes no points for no vnodes", () => {
    expect(pointsOf("a", 0)).toHaveLength(0);
  });
});
