/** A ring that is laid out in slices is the ring. */
import { describe, expect, it } from "vitest";
import { buildRing, Ring, type RingNodeInput } from "../../src/ring/index.ts";
import { prepareLayout } from "../../src/ring/layout.ts";
import { nodeNames, referencePoints } from "./support.ts";

/** Sorted with a comparison, from the definition: what the typed arrays are held against. */
function reference(nodes: readonly RingNodeInput[]): { point: number; name: string }[] {
  const ordered = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
  const all = ordered.flatMap(({ name, weight = 1, vnodes = 40 * weight }, rank) =>
    referencePoints(name, vnodes).map((point) => ({ point, name, rank })),
  );
  all.sort((a, b) => a.point - b.point || a.rank - b.rank);
  return all.map(({ point, name }) => ({ point, name }));
}

function slotsOf(ring: Ring): { point: number; name: string }[] {
  return Array.from({ length: ring.size }, (_, slot) => ({
    point: ring.pointAt(slot),
    name: ring.names[ring.ownerAt(slot)]!,
  }));
}

const CASES: readonly (readonly [string, readonly RingNodeInput[]])[] = [
  ["one node", nodeNames(1)],
  ["one node of one vnode", [{ name: "a", vnodes: 1 }]],
  ["a hundred nodes, more points than are sorted at once", nodeNames(100)],
  ["nodes of many sizes", nodeNames(30).map(({ name }, i) => ({ name, vnodes: 1 + i * 7 }))],
];

describe.each(CASES)("%s", (_, nodes) => {
  it("has every point in order with its owner, built at once and in slices", async () => {
    const expected = reference(nodes);
    expect(slotsOf(new Ring(nodes))).toStrictEqual(expected);
    expect(slotsOf(await buildRing([...nodes].reverse()))).toStrictEqual(expected);
  });
});

describe("slices", () => {
  it("leaves off at least once a node, and other work runs between", async () => {
    const nodes = nodeNames(50).map(({ name }) => ({ name: `sliced-${name}` }));
    let pauses = 0;
    const pause = async () => {
      pauses++;
    };
    await prepareLayout(nodes, "ringshift", pause, () => true);
    const [points, shared, buckets] = [nodes.length, 2 * Math.floor(nodes.length / 8), 2 ** 13 / 4096];
    expect(pauses).toBeGreaterThanOrEqual(points + shared + buckets);
    expect(slotsOf(new Ring(nodes))).toStrictEqual(reference(nodes));
  });

  it("goes on until the slice is over", async () => {
    const nodes = nodeNames(50).map(({ name }) => ({ name: `timed-${name}` }));
    let steps = 0;
    let pauses = 0;
    const pause = async () => {
      pauses++;
    };
    await prepareLayout(nodes, "ringshift", pause, () => ++steps % 10 === 0);
    expect(pauses).toBe(Math.floor(steps / 10));
    expect(slotsOf(new Ring(nodes))).toStrictEqual(reference(nodes));
  });

  it("refuses what the ring refuses", async () => {
    await expect(buildRing([])).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(buildRing([{ name: "a" }, { name: "a" }])).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(buildRing([{ name: "a" }], { compat: "other" as never })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });

  it("keeps rings of one shape and different nodes apart", async () => {
    const [one, other] = [
      await buildRing(nodeNames(3)),
      await buildRing(nodeNames(3).map(({ name }) => ({ name: `x${name}` }))),
    ];
    expect(one.getPoints()).not.toStrictEqual(other.getPoints());
    expect(one.names).not.toStrictEqual(other.names);
  });
});
