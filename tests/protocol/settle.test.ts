/** The end of settling, published by a process that was stopped on its way there. */
import { expect, test } from "vitest";
import type { Session } from "../../src/protocol/session.ts";
import { HOLD_OFF_MS, settle, settleOnce } from "../../src/protocol/settle.ts";
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

test("a process that was stopped over a whole migration gives the stragglers of the present one their time", async () => {
  const later = successor(SETTLING, "run", { migrations: 2 });
  let present = SETTLING;
  let [now, sleeps] = [0, 0];
  let late = ["a client with something of an older epoch under way"];
  const published: { readonly found: string | null; readonly late: number }[] = [];
  const session = {
    clock: {
      now: () => now,
      sleep: async (ms: number) => {
        sleeps++;
        now += sleeps === 1 ? HOLD_OFF_MS + 1 : ms; // first it is stopped: others end the settling and make the next change
        if (sleeps === 1) present = later;
        if (sleeps === 3) late = [];
      },
    },
    look: async () => ({ document: present, confirmed: true }),
    store: {
      unacknowledged: async () => late,
      publish: async (found: string | null, next: TopologyDocument) => {
        published.push({ found, late: late.length });
        present = next;
      },
    },
  };
  await settle(session as unknown as Session);
  expect(published).toEqual([{ found: later.id, late: 0 }]);
});

test("the hold-off ends a settling that one client does not acknowledge", async () => {
  let present = SETTLING;
  let now = 0;
  const session = {
    clock: {
      now: () => now,
      sleep: async (ms: number) => {
        now += ms;
      },
    },
    look: async () => ({ document: present, confirmed: true }),
    store: {
      unacknowledged: async () => ["a client"],
      publish: async (_: string | null, next: TopologyDocument) => {
        present = next;
      },
    },
  };
  await settle(session as unknown as Session);
  expect(present.settling).toBe(false);
  expect(now).toBeGreaterThan(HOLD_OFF_MS);
});
