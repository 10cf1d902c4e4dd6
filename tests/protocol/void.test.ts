/** Which of two documents is the newer one after fail-overs of Redis, and what a session does with the other. */
import { describe, expect, test } from "vitest";
import { Recorder } from "../../src/keyindex/recorder.ts";
import type { Transport } from "../../src/memcached/transport.ts";
import { Session } from "../../src/protocol/session.ts";
import { systemClock } from "../../src/protocol/system-clock.ts";
import { View } from "../../src/protocol/view.ts";
import { confirmedAgain, isNewer, successor, supersedes, type TopologyDocument } from "../../src/topology/document.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import type { TopologyStore } from "../../src/topology/store.ts";
import { STABLE } from "../support/documents.ts";

/** Published in run 1, and forgotten by Redis. */
const FORGOTTEN = successor(STABLE, STABLE.runId, {});
/** Without it, in run 2. */
const AGAIN = confirmedAgain(STABLE, "run 2");

describe("two documents", () => {
  test("of one history: the later epoch is newer, in whatever run", () => {
    expect(isNewer(FORGOTTEN, STABLE)).toBe(true);
    expect(isNewer(STABLE, FORGOTTEN)).toBe(false);
    const next = successor(AGAIN, "run 2", {});
    expect(isNewer(next, AGAIN)).toBe(true);
    expect(isNewer(AGAIN, STABLE)).toBe(true);
    expect(AGAIN).toMatchObject({ epoch: 7, untrusted: ["one"], recovered: true });
  });

  test("what was confirmed without the other is newer than that, and so is all that follows", () => {
    expect(supersedes(AGAIN, FORGOTTEN)).toBe(true);
    expect(isNewer(AGAIN, FORGOTTEN)).toBe(true);
    expect(isNewer(FORGOTTEN, AGAIN)).toBe(false);
    let later = AGAIN;
    for (let run = 3; run < 50; run++) {
      later = confirmedAgain(successor(later, `run ${run}`, {}), `run ${run}`);
      expect(supersedes(later, FORGOTTEN)).toBe(true);
    }
    expect(later.confirmations!.length).toBeLessThan(40);
    // confirmed each without the other: nothing but the epoch is left to go by
    const other = confirmedAgain(FORGOTTEN, "run 2");
    expect(supersedes(AGAIN, other) || supersedes(other, AGAIN)).toBe(false);
    expect(isNewer(other, AGAIN)).toBe(true);
  });
});

/** A session that holds one document, where a Redis of that run has another. */
function scene(own: TopologyDocument, found: TopologyDocument, runId: string) {
  const redis = { document: found };
  const store = {
    read: async () => ({ document: redis.document, runId }),
    publish: async (expected: string | null, next: TopologyDocument) => {
      if (redis.document.id !== expected) return "changed";
      redis.document = next;
      return "published";
    },
  } as unknown as TopologyStore;
  const session = new Session(
    {
      namespace: namespaceOf(undefined),
      transport: {} as Transport,
      store,
      clock: systemClock,
      recorder: new Recorder(store),
    },
    new View(own, own.runId, 0),
  );
  return { session, redis };
}

describe("after one more fail-over", () => {
  test("who holds what is void goes by what was confirmed without it", async () => {
    const { session, redis } = scene(FORGOTTEN, AGAIN, "run 3");
    await session.look();
    expect(session.view.document.id).toBe(AGAIN.id);
    expect(session.view.confirmed).toBe(false);
    expect(redis.document.id).toBe(AGAIN.id);
  });

  test("after FLUSHALL too, where all is of one run", async () => {
    const again = confirmedAgain(STABLE, STABLE.runId);
    const { session, redis } = scene(FORGOTTEN, again, STABLE.runId);
    await session.look();
    expect(session.view.document.id).toBe(again.id);
    expect(redis.document.id).toBe(again.id);
  });

  test("who holds what was confirmed puts it back over what is void, though that is of a later epoch", async () => {
    const { session, redis } = scene(AGAIN, FORGOTTEN, "run 3");
    await session.look();
    expect(session.view.document.id).toBe(AGAIN.id);
    expect(redis.document.id).toBe(AGAIN.id);
  });

  test("a cluster that was begun anew is not put back to what somebody still holds of the old one", async () => {
    const anew = { ...STABLE, id: "a".repeat(16), epoch: 30, runId: "run 3" };
    const { session, redis } = scene(AGAIN, anew, "run 3");
    await session.look();
    expect(session.view.document.id).toBe(anew.id);
    expect(session.view.confirmed).toBe(true);
    expect(redis.document.id).toBe(anew.id);
  });

  test("a newer document of the same history goes back", async () => {
    const next = successor(AGAIN, "run 2", {});
    const { session, redis } = scene(next, AGAIN, "run 3");
    await session.look();
    expect(redis.document.id).toBe(next.id);
  });
});
