/** Waiting for a settled view while Redis fails over. Time is the test's own. */
import { expect, test } from "vitest";
import { awaitSettled } from "../../src/migration/ready.ts";
import type { Session } from "../../src/protocol/session.ts";
import type { TopologyDocument } from "../../src/topology/document.ts";
import { STABLE } from "../support/documents.ts";

test("a fail-over that somebody else confirms meanwhile does not end the wait for those who have not acknowledged", async () => {
  const settling: TopologyDocument = { ...STABLE, id: "before", settling: true, previousNodes: [] };
  const confirmedAnew: TopologyDocument = { ...settling, id: "confirmed", runId: "another" };
  const settled: TopologyDocument = { ...confirmedAnew, id: "settled", settling: false };
  const looks = [
    { document: settling, confirmed: true },
    { document: settling, confirmed: true },
    { document: settling, confirmed: false }, // Redis has failed over, which the settling ends its wait for
  ];
  let present = confirmedAnew;
  let now = 0;
  const published: TopologyDocument[] = [];
  const session = {
    clock: {
      now: () => now,
      sleep: async (ms: number) => {
        now += ms;
      },
    },
    look: async () => looks.shift() ?? { document: present, confirmed: true },
    store: {
      unacknowledged: async () => (now < 5_000 ? ["straggler"] : []),
      publish: async (_: string, next: TopologyDocument) => {
        published.push(next);
        present = settled;
        return "published";
      },
    },
  };
  const view = await awaitSettled(session as unknown as Session, () => {});
  expect(view.document.settling).toBe(false);
  expect(published).toMatchObject([{ phase: "S", settling: false }]);
  expect(now).toBeGreaterThanOrEqual(5_000);
});
