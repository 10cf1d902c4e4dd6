import { expect, test } from "vitest";
import { changesOf, differenceOf } from "../../src/discovery/difference.ts";
import type { NodeRecord } from "../../src/topology/document.ts";

const NODES: readonly NodeRecord[] = [
  { index: 0, name: "a", address: "10.0.0.1:11211" },
  { index: 1, name: "10.0.0.2:11211", address: "10.0.0.2:11211", weight: 2 },
  { index: 2, name: "c", address: "10.0.0.3:11211", vnodes: 10 },
];

test("the same servers, by name or by address, are no difference", () => {
  const found = [
    { address: "10.0.0.1:11211" },
    { name: "10.0.0.2:11211", address: "elsewhere:11211" },
    { address: "10.0.0.3:11211" },
  ];
  expect(changesOf(differenceOf(found, NODES))).toEqual([]);
});

test("servers come before others go, together where they can", () => {
  const found = [{ address: "10.0.0.4:11211" }, { address: "10.0.0.5:11211" }, { address: "10.0.0.3:11211" }];
  expect(changesOf(differenceOf(found, NODES))).toEqual([
    { kind: "add-node", nodes: [{ address: "10.0.0.4:11211" }, { address: "10.0.0.5:11211" }] },
    { kind: "remove-node", names: ["a", "10.0.0.2:11211"] },
  ]);
});

test("a source that gives weights is followed in them; vnodes are the operator's", () => {
  const found = [
    { name: "a", address: "10.0.0.1:11211", weight: 3 },
    { address: "10.0.0.2:11211" },
    { name: "c", address: "10.0.0.3:11211", weight: 3 },
  ];
  expect(changesOf(differenceOf(found, NODES))).toEqual([{ kind: "set-weight", name: "a", weight: 3 }]);
});
