/** How the keys that went with a dead server are counted: the work is in proportion to the keys, also where one set lists very many. */
import { expect, test, vi } from "vitest";
import type { Command } from "../../src/memcached/exchange.ts";
import { countLost } from "../../src/migration/dead.ts";
import type { Session } from "../../src/protocol/session.ts";
import { View } from "../../src/protocol/view.ts";
import type { TopologyDocument } from "../../src/topology/document.ts";
import { STABLE } from "../support/documents.ts";

const OLD = [{ index: 0, name: "n0", address: "10.0.0.1:1" }];
const DUAL: TopologyDocument = {
  ...STABLE,
  phase: "D",
  nodes: [{ index: 1, name: "n1", address: "10.0.0.2:1" }],
  previousNodes: OLD,
  fences: { n0: 9, n1: 9 },
  dead: ["n0"],
};
const KEYS = 150_000;

test("150,000 keys of one set are told apart in one go", async () => {
  const view = new View(DUAL, DUAL.runId, 0);
  const [point] = [...view.diff!.arcs].map((arc) => arc.fromPoint);
  const keys: string[] = [];
  for (let i = 0; keys.length < KEYS; i++) keys.push(`key:${i}`);
  vi.spyOn(view, "hashOf").mockReturnValue(view.diff!.arcs[0]!.upTo); // as if one arc had them all
  const session = {
    view,
    namespace: { fenceKey: "fence", keyPrefix: "" },
    clock: { now: () => 0, sleep: async () => {} },
    gateOpen: () => true,
    isFresh: () => true,
    refresh: async () => {},
    store: {
      async *entries(_: number, at: number) {
        if (at === point) yield keys;
      },
    },
    transport: {
      exchange: async (_: unknown, commands: readonly Command[]) => ({
        replies: commands.map(() => ({ status: "EN" })),
        fence: { number: 9, unindexed: false },
        connection: { id: 1 },
      }),
    },
  } as unknown as Session;

  // what is put into maps, in array elements: groups that are made anew with each key would come to their number squared
  let grouped = 0;
  const set = Map.prototype.set;
  const spy = vi.spyOn(Map.prototype, "set").mockImplementation(function (this: Map<unknown, unknown>, key, value) {
    if (Array.isArray(value)) grouped += value.length;
    return set.call(this, key, value);
  });
  try {
    expect(await countLost(session, view, ["n0"])).toMatchObject({ keys: KEYS });
  } finally {
    spy.mockRestore();
  }
  expect(grouped).toBeLessThan(2 * KEYS);
});
