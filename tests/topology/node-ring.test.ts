/** Rings and their differences, made once for a list of nodes. */
import { describe, expect, test } from "vitest";
import { nodeRingOf } from "../../src/protocol/node-ring.ts";
import { diffRings, Ring } from "../../src/ring/index.ts";
import type { NodeRecord } from "../../src/topology/document.ts";

const nodes = (...names: string[]): NodeRecord[] =>
  names.map((name, index) => ({ index, name, address: `${name}:11211`, weight: 1 }));

describe("a list of nodes", () => {
  const [two, three] = [nodes("a", "b"), nodes("a", "b", "c")];

  test("has one ring, that of its nodes, and the owners in the ring's order", () => {
    const made = nodeRingOf(three, "ringshift");
    expect(nodeRingOf(three, "ringshift")).toBe(made);
    expect(made.ring.getPoints()).toStrictEqual(new Ring([{ name: "a" }, { name: "b" }, { name: "c" }]).getPoints());
    expect(made.owners).toStrictEqual(three);
    expect(nodeRingOf(nodes("a", "b", "c"), "ringshift")).not.toBe(made);
  });

  test("has another ring under another compat mode", () => {
    const list = nodes("a", "b");
    expect(nodeRingOf(list, "ringshift").ring.compat).toBe("ringshift");
    expect(nodeRingOf(list, "libketama").ring.compat).toBe("libketama");
    expect(nodeRingOf(list, "ringshift").ring.compat).toBe("ringshift");
  });

  test("has one difference from each list before it", () => {
    const [from, to] = [nodeRingOf(two, "ringshift"), nodeRingOf(three, "ringshift")];
    const diff = to.diffFrom(from);
    expect(diff.arcs).toStrictEqual(diffRings(from.ring, to.ring).arcs);
    expect(to.diffFrom(from)).toBe(diff);
    expect(from.diffFrom(to).arcs).not.toStrictEqual(diff.arcs);
  });

  test("is another node's where a name has passed to another server", () => {
    const replaced = two.map((node) => (node.name === "b" ? { ...node, index: 7 } : node));
    const { arcs } = nodeRingOf(replaced, "ringshift").diffFrom(nodeRingOf(two, "ringshift"));
    expect(arcs.length).toBeGreaterThan(0);
    expect(arcs.every((arc) => arc.moves && arc.fromNode === "b" && arc.toNode === "b")).toBe(true);
  });
});
