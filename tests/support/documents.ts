/** A topology document for tests without servers. */
import type { TopologyDocument } from "../../src/topology/document.ts";

/** Epoch 7, in S, one node. */
export const STABLE: TopologyDocument = {
  version: 1,
  id: "d".repeat(16),
  epoch: 7,
  phase: "S",
  ring: { compat: "ringshift", hashTags: false },
  nodes: [{ index: 0, name: "one", address: "127.0.0.1:1" }],
  previousNodes: null,
  fences: { one: 7 },
  settling: false,
  generation: 0,
  migrations: 3,
  nextIndex: 1,
  runId: "a".repeat(40),
  untrusted: [],
  operation: null,
};
