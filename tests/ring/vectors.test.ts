import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { keyHash, Ring, wireKeyOf } from "../../src/ring/index.ts";
import libketama from "../vectors/libketama.json" with { type: "json" };
import libmemcached from "../vectors/libmemcached.json" with { type: "json" };

/** What the C programs wrote of one list of servers. */
interface VectorList {
  readonly note: string;
  readonly servers: readonly { host: string; port: number; weight: number }[];
  readonly totalPoints: number;
  readonly pointsPerServer: number | Readonly<Record<string, number>>;
  readonly crossServerDuplicatePoints: number;
  readonly exactHitKeys: readonly string[];
  readonly wrapKeys: readonly string[];
  readonly continuumMd5: string;
  readonly points: readonly [number, string][];
  readonly assignments: readonly [string, string][];
}

const suites = [
  { compat: "libketama", lists: libketama.lists as unknown as readonly VectorList[] },
  { compat: "libmemcached", lists: libmemcached.lists as unknown as readonly VectorList[] },
] as const;

function nodesOf(list: VectorList): { name: string; weight: number }[] {
  return list.servers.map(({ host, port, weight }) => ({ name: `${host}:${port}`, weight }));
}

function continuum(ring: Ring): [number, string][] {
  return Array.from({ length: ring.size }, (_, slot) => [ring.pointAt(slot), ring.names[ring.ownerAt(slot)]!]);
}

function continuumMd5(ring: Ring): string {
  const lines = continuum(ring).map(([point, name]) => `${point} ${name}\n`);
  return createHash("md5").update(lines.join("")).digest("hex");
}

it("has the vectors of both libraries", () => {
  expect(suites.map(({ lists }) => lists.length)).toEqual([8, 8]);
});

describe.each(suites)("vectors made by $compat", ({ compat, lists }) => {
  describe.each(lists)("$note", (list) => {
    const ring = new Ring(nodesOf(list), { compat });

    it("has the same points for each server", () => {
      expect(ring.size).toBe(list.totalPoints);
      const expected = list.pointsPerServer;
      for (const node of ring.nodes) {
        expect(node.points).toBe(typeof expected === "number" ? expected : expected[node.name]);
        expect(ring.getPoints(node.name)).toHaveLength(node.points);
      }
      expect(ring.size - new Set(ring.getPoints()).size).toBe(list.crossServerDuplicatePoints);
    });

    it("has the same continuum", () => {
      expect(continuum(ring).slice(0, 40)).toEqual(list.points);
      expect(continuumMd5(ring)).toBe(list.continuumMd5);
    });

    it("assigns every key to the same server", () => {
      expect(list.assignments).toHaveLength(500);
      expect(list.assignments.map(([key]) => [key, ring.getServer(key)[1]])).toEqual(list.assignments);
    });

    it("wraps from above the last point to the first, and includes the point itself", () => {
      const points = ring.getPoints();
      const wrapHashes = list.wrapKeys.map((key) => keyHash(wireKeyOf(key)));
      expect(wrapHashes.filter((hash) => hash > points.at(-1)!).length).toBeGreaterThanOrEqual(2);
      expect(wrapHashes.filter((hash) => hash <= points[0]!).length).toBeGreaterThanOrEqual(1);
      for (const key of list.wrapKeys) expect(ring.getServer(key)).toEqual([points[0], list.points[0]![1]]);
      for (const key of list.exactHitKeys) expect(ring.getServer(key)[0]).toBe(keyHash(wireKeyOf(key)));
    });
  });
});

describe("the default ring", () => {
  it("is libketama's where weights are equal and the list is in name order", () => {
    const same = suites[0].lists.filter(({ servers }) => {
      const names = servers.map(({ host, port }) => `${host}:${port}`);
      return servers.every(({ weight }) => weight === 1) && names.join() === names.toSorted().join();
    });
    expect(same.length).toBeGreaterThanOrEqual(4);
    for (const list of same) expect(continuumMd5(new Ring(nodesOf(list)))).toBe(list.continuumMd5);
  });

  it("gives a shared point to the first by name, whatever the order of the list; the compat modes to the first listed", () => {
    const list = suites[0].lists.find(({ note }) => note.startsWith("two servers share point 2519084465"))!;
    const nodes = nodesOf(list);
    const owner = (ring: Ring): string => ring.names[ring.ownerAt(ring.locate(2519084465))]!;
    const [first, second] = nodes.map(({ name }) => name).sort();
    expect(owner(new Ring(nodes))).toBe(first);
    expect(owner(new Ring(nodes.toReversed()))).toBe(first);
    const byName = nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    for (const compat of ["libketama", "libmemcached"] as const) {
      expect(owner(new Ring(byName, { compat }))).toBe(first);
      expect(owner(new Ring(byName.toReversed(), { compat }))).toBe(second);
    }
    const ring = new Ring(nodes);
    expect(ring.getPoints(first)).toContain(2519084465);
    expect(ring.getPoints(second)).toContain(2519084465);
  });
});
