import { describe, expect, it } from "vitest";
import { isRingshiftError } from "../../src/errors.ts";
import { Ring, type RingCompat, type RingNodeInput } from "../../src/ring/index.ts";
import { planNodes } from "../../src/ring/nodes.ts";
import { pointsOf } from "../../src/ring/points.ts";
import { nodeNames } from "./support.ts";

const invalid = (part: string): unknown =>
  expect.toSatisfy((error) => isRingshiftError(error, "INVALID_OPTION") && error.message.includes(part));

describe("bad nodes are refused", () => {
  const cases: [string, RingNodeInput[], string][] = [
    ["no nodes", [], "at least one"],
    ["a duplicate", [{ name: "a:1" }, { name: "b:1" }, { name: "a:1" }], '"a:1" is listed twice'],
    ["weight and vnodes", [{ name: "a", weight: 1, vnodes: 40 }], "not both"],
    ["weight 0", [{ name: "a", weight: 0 }], "weight 0"],
    ["a negative weight", [{ name: "a", weight: -1 }], "weight -1"],
    ["weight NaN", [{ name: "a", weight: Number.NaN }], "weight NaN"],
    ["an infinite weight", [{ name: "a", weight: Number.POSITIVE_INFINITY }], "weight Infinity"],
    ["a weight too small to compute with", [{ name: "a", weight: 1e-50 }], "weight 1e-50"],
    ["a weight too large to compute with", [{ name: "a", weight: 2 ** 32 }], "weight 4294967296"],
    ["a weight in a string", [{ name: "a", weight: "2" as unknown as number }], 'weight "2"'],
    ["a weight beyond 4,096 vnodes", [{ name: "a", weight: 102.5 }], "more than 102.4"],
    ["vnodes 0", [{ name: "a", vnodes: 0 }], "vnodes 0"],
    ["vnodes 4097", [{ name: "a", vnodes: 4097 }], "vnodes 4097"],
    ["a broken number of vnodes", [{ name: "a", vnodes: 1.5 }], "vnodes 1.5"],
    ["too many nodes", nodeNames(4097), "at most 4096"],
    ["too many points", nodeNames(257).map(({ name }) => ({ name, vnodes: 4096 })), "at most 4194304"],
  ];
  it.each(cases)("%s", (_, nodes, part) => {
    expect(() => new Ring(nodes)).toThrow(invalid(part));
  });

  it.each(["", " ", "a b", "a\n", "ä", "a,b", "a/b?", "x".repeat(251), undefined as unknown as string])(
    "name %j",
    (name) => {
      expect(() => new Ring([{ name }])).toThrow(invalid("node name"));
    },
  );

  it.each(Object.getOwnPropertyNames(Object.prototype))("name %s", (name) => {
    expect(() => new Ring([{ name }, { name: "b" }])).toThrow(invalid(`"${name}"`));
    // libmemcached leaves the port out, so this one would be hashed under the same name
    expect(() => new Ring([{ name: `${name}:11211` }], { compat: "libmemcached" })).toThrow(invalid(`"${name}"`));
  });

  it.each(["a", "x".repeat(250), "[2001:db8::1]:11211", "/var/run/memcached.sock", "cache_1.svc-a"])(
    "but %j is a name",
    (name) => {
      expect(new Ring([{ name }]).names).toEqual([name]);
    },
  );

  it("an unknown compat", () => {
    expect(() => new Ring(nodeNames(1), { compat: "ketama" as RingCompat })).toThrow(invalid('"ketama"'));
  });

  it("vnodes in the compat modes", () => {
    for (const compat of ["libketama", "libmemcached"] as const) {
      expect(() => new Ring([{ name: "a", vnodes: 40 }], { compat })).toThrow(invalid("weights only"));
    }
  });

  it("two names that libmemcached takes for one", () => {
    const nodes = [{ name: "a" }, { name: "a:11211" }];
    expect(() => new Ring(nodes, { compat: "libmemcached" })).toThrow(invalid('"a" and "a:11211"'));
    expect(new Ring(nodes, { compat: "libketama" }).size).toBe(320);
  });
});

describe("the compat modes' float32 floors", () => {
  const short = (compat: RingCompat, most: number): number[] => {
    const counts: number[] = [];
    for (let count = 1; count <= most; count++) {
      const { points } = planNodes(nodeNames(count), compat)[0]!.node;
      expect([156, 160]).toContain(points);
      if (points === 156) counts.push(count);
    }
    return counts;
  };

  it("give 156 points at the counts where the C libraries do", () => {
    expect(short("libketama", 500)).toEqual([61, 122, 237, 244, 474, 488]);
    expect(short("libmemcached", 100)).toEqual([25, 47, 50, 55, 61, 71, 94, 100]);
    expect(short("ringshift", 500)).toEqual([]);
  });

  it("leave a node of little weight without points, and the ring works", () => {
    const ring = new Ring([{ name: "a", weight: 1000 }, { name: "b" }, { name: "c" }], { compat: "libketama" });
    expect(ring.nodes.map(({ points }) => points)).toEqual([476, 0, 0]);
    expect(ring.getServer("key")[1]).toBe("a");
    expect(ring.getPoints("b")).toEqual([]);
  });
});

describe("the cache of points", () => {
  it("builds a node once, and forgets the least recently used when full", () => {
    const kept = pointsOf("kept", 40);
    const dropped = pointsOf("dropped", 40);
    expect(pointsOf("kept", 40)).toBe(kept);
    for (let i = 0; i < 64; i++) {
      pointsOf(`filler-${i}`, 4096); // 64 of them are as many points as the cache holds
      pointsOf("kept", 40);
    }
    expect(pointsOf("kept", 40)).toBe(kept);
    expect(pointsOf("dropped", 40)).not.toBe(dropped);
    expect(pointsOf("dropped", 40)).toEqual(dropped);
  });
});
