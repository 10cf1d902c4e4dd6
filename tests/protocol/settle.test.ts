/** The end of settling, published by a process that was stopped on its way there. */
import { expect, test } from "vitest";
import type { Session } from "../../src/protocol/session.ts";
import { settleOnce } from "../../src/protocol/settle.ts";
import { successor, type TopologyDocument } from "../../src/topology/document.ts";

const SETTLING: TopologyDocument = {
  version: 1,
  id: "settling",
  epoch: 7,
  phase: "S",
  ring: { compat: "ringshift", hashTags: false },
  nodes: [],
  previousNodes: [],
  fences: {},
  settling: true,
  generation: 0,
  migrations: 1,
  nextIndex: 0,
  runId: "run",
  untrusted: [],
  operation: null,
};

test("what is published follows on the document that was looked at, whatever the session has adopted since", async () => {
  const later = successor(SETTLING, "run", { phase: "D", settling: false, previousNodes: [] });
  const published: { readonly found: string | null; readonly next: TopologyDocument }[] = [];
  let present = SETTLING;
  const session = {
    get view() {
      return { document: present };
    },
    look: async () => ({ document: SETTLING, confirmed: true }),
    store: {
      unacknowledged: async () => {
        present = later; // the next change has begun while this process stood still
        return [];
      },
      publish: async (found: string | null, next: TopologyDocument) => void published.push({ found, next }),
    },
  };
  await settleOnce(session as unknown as Session);
  expect(published).toHaveLength(1);
  expect(published[0]).toMatchObject({ found: "settling", next: { phase: "S", settling: false, epoch: 8 } });
});
