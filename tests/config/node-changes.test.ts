import { expect, test } from "vitest";
import { nodeChanges } from "../../src/config/node-changes.ts";
import type { NodeSetting } from "../../src/config/schema.ts";

const present = ["a:1", "b:1"].map((address, index) => ({ index, name: address, address }));
const nodes = (...list: (string | NodeSetting)[]) =>
  list.map((one) => (typeof one === "string" ? { address: one } : one));

test("nodes come, change and go, in this order", () => {
  const { changes } = nodeChanges(
    nodes("a:1", "b:1"),
    nodes({ address: "b:1", vnodes: 80 }, "c:1", { address: "d:1", weight: 2 }),
    present,
  );
  expect(changes).toEqual([
    { kind: "add-node", nodes: [{ address: "c:1" }, { address: "d:1", weight: 2 }] },
    { kind: "set-vnodes", name: "b:1", vnodes: 80 },
    { kind: "remove-node", names: ["a:1"] },
  ]);
});

test("a size that is taken back is weight 1", () => {
  const sized = [{ ...present[0]!, vnodes: 80 }, present[1]!];
  const { changes } = nodeChanges(nodes({ address: "a:1", vnodes: 80 }), nodes("a:1"), sized);
  expect(changes).toEqual([{ kind: "set-weight", name: "a:1", weight: 1 }]);
});

test("what the cluster has already is left out", () => {
  const sized = [
    { ...present[0]!, weight: 2 },
    { index: 2, name: "c:1", address: "c:1" },
  ];
  const { changes } = nodeChanges(nodes("a:1", "b:1"), nodes({ address: "a:1", weight: 2 }, "c:1"), sized);
  expect(changes).toEqual([]);
});

test("what the edit does not concern stays: nodes that others added, sizes that others set", () => {
  const grown = [{ ...present[0]!, weight: 3 }, present[1]!, { index: 2, name: "spare:1", address: "spare:1" }];
  expect(nodeChanges(nodes("a:1", "b:1"), nodes("a:1", "b:1"), grown).changes).toEqual([]);
  expect(nodeChanges(nodes("a:1", "b:1"), nodes("a:1"), grown).changes).toEqual([
    { kind: "remove-node", names: ["b:1"] },
  ]);
});

test("another address is a problem that is told", () => {
  const { changes, problems } = nodeChanges(
    nodes({ address: "a:1", name: "a:1" }),
    nodes({ address: "z:9", name: "a:1" }),
    present,
  );
  expect([changes, problems]).toEqual([[], [expect.stringContaining("name the new address as a node of its own")]]);
});
