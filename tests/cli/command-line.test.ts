import { expect, test } from "vitest";
import { commandLine } from "../../src/cli/command-line.ts";
import { commandText } from "../../src/migration/change.ts";

test.each([
  ["several addresses", [{ address: "a:1" }, { address: "b:2" }], "ringshift add-node a:1 b:2"],
  ["a name and a weight", [{ address: "a:1", name: "x", weight: 2.5 }], "ringshift add-node a:1 --name x --weight 2.5"],
  ["vnodes of IPv6 nodes", [{ address: "[::1]:1", vnodes: 80 }], "ringshift add-node [::1]:1 --vnodes 80"],
  [
    "unlike weights, which no command line has",
    [{ address: "a:1", weight: 1 }, { address: "b:2" }],
    "ringshift add-node a:1,weight=1 b:2",
  ],
  [
    "several names, which no command line has",
    [
      { address: "a:1", name: "x" },
      { address: "b:2", name: "y" },
    ],
    "ringshift add-node x=a:1 y=b:2",
  ],
])("add-node with %s", (_, nodes, line) => {
  expect(commandLine(commandText({ kind: "add-node", nodes }))).toBe(line);
});

test("the other changes stand in the document as they are typed", () => {
  expect(commandLine(commandText({ kind: "remove-node", names: ["b", "a"] }))).toBe("ringshift remove-node a b");
  expect(commandLine(commandText({ kind: "set-weight", name: "a", weight: 2 }))).toBe("ringshift set-weight a 2");
  expect(commandLine(commandText({ kind: "set-vnodes", name: "a", vnodes: 80 }))).toBe("ringshift set-vnodes a 80");
});
