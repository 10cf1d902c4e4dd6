/** A server that is read by metadump, without servers: what its errors are told as. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { dumpServers } from "../../src/migration/dump-servers.ts";
import type { Session } from "../../src/protocol/session.ts";
import { View } from "../../src/protocol/view.ts";
import type { TopologyDocument } from "../../src/topology/document.ts";
import { STABLE } from "../support/documents.ts";

const OLD = [{ index: 0, name: "n0", address: "10.0.0.1:1" }];
const DUAL: TopologyDocument = {
  ...STABLE,
  phase: "D",
  nodes: [...OLD, { index: 1, name: "n1", address: "10.0.0.2:1" }],
  previousNodes: OLD,
  fences: { n0: 9, n1: 9 },
  untrusted: ["n0"],
};

test.each([
  ["REDIS_UNREACHABLE", "REDIS_UNREACHABLE"], // no server's fault
  ["NODE_DOWN", "MIGRATION_STOPPED"],
] as const)("%s while its keys are taken ends the copier with %s", async (code, told) => {
  const view = new View(DUAL, DUAL.runId, 0);
  const shown = { replies: [{ status: "HD" }], fence: { number: 9, unindexed: false }, connection: { id: 1 } };
  const session = {
    view,
    namespace: { fenceKey: "fence", keyPrefix: "shop:" },
    clock: { now: () => 0, sleep: async () => {} },
    enter: () => view,
    leave: () => {},
    refresh: async () => {},
    gateOpen: () => true,
    transport: {
      exchange: async () => shown,
      async *dump() {
        yield "shop:a";
      },
    },
  } as unknown as Session;
  const take = () => Promise.reject(new RingshiftError(code, "of what it is about"));
  const reading = dumpServers(session, view, { signal: undefined, dumping: () => {}, take });
  await expect(reading).rejects.toMatchObject({ code: told, message: expect.stringContaining("of what it is about") });
});
