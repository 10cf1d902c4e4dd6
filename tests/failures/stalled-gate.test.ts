/** Row of the failure table: a process that was stopped finds failed calls to Redis when it goes on. They are its own doing, not Redis'. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { Recorder } from "../../src/keyindex/recorder.ts";
import type { Transport } from "../../src/memcached/transport.ts";
import { GATE_MS, Session } from "../../src/protocol/session.ts";
import { systemClock } from "../../src/protocol/system-clock.ts";
import { View } from "../../src/protocol/view.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import type { TopologyStore } from "../../src/topology/store.ts";
import { STABLE } from "../support/documents.ts";

function scene() {
  let now = 0;
  let fail: () => void = () => {};
  const store = {
    read: () =>
      new Promise((_resolve, reject) => {
        fail = () => reject(new RingshiftError("REDIS_UNREACHABLE", "Command timed out"));
      }),
  } as unknown as TopologyStore;
  const view = new View(STABLE, STABLE.runId, 0);
  const clock = { ...systemClock, now: () => now };
  const transport = {} as Transport;
  const session = new Session(
    { namespace: namespaceOf(undefined), transport, store, clock, recorder: new Recorder(store) },
    view,
  );
  return {
    session,
    /** A read of the document that fails when so much time has passed. */
    failedRead: async (afterMs: number) => {
      const looking = session.look();
      now += afterMs;
      fail();
      await expect(looking).rejects.toMatchObject({ code: "REDIS_UNREACHABLE" });
    },
  };
}

test("a failure that took longer than the gate's time says nothing of Redis: the gate stays shut", async () => {
  const { session, failedRead } = scene();
  expect(session.gateOpen()).toBe(true);
  await failedRead(3 * GATE_MS); // stopped in between: the command's timer is the first thing that runs
  expect(session.gateOpen()).toBe(false);
  expect(session.redisDown).toBe(false);
});

test("a failure in its time says that Redis is away: the fences guard alone, and the gate lets through", async () => {
  const { session, failedRead } = scene();
  await failedRead(3 * GATE_MS);
  await failedRead(GATE_MS / 2);
  expect(session.gateOpen()).toBe(true);
  expect(session.redisDown).toBe(true);
});
