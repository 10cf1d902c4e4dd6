/** What stops the caretaker, and what that means for its session. */
import { expect, test } from "vitest";
import { type ErrorCode, RingshiftError } from "../../src/errors.ts";
import { Recorder } from "../../src/keyindex/recorder.ts";
import type { Transport } from "../../src/memcached/transport.ts";
import { caretake } from "../../src/protocol/caretaker.ts";
import { Session } from "../../src/protocol/session.ts";
import { systemClock } from "../../src/protocol/system-clock.ts";
import { View } from "../../src/protocol/view.ts";
import { successor } from "../../src/topology/document.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import type { ChangeStore } from "../../src/topology/store.ts";
import { STABLE } from "../support/documents.ts";

/** In the end of a change, by a Redis whose document cannot be read. */
function settling(code: ErrorCode) {
  const document = successor(STABLE, STABLE.runId, { settling: true, previousNodes: STABLE.nodes });
  const error = new RingshiftError(code, "not to be read");
  const store = { read: () => Promise.reject(error), leaseHolder: async () => null } as unknown as ChangeStore;
  const session = new Session(
    {
      namespace: namespaceOf(undefined),
      transport: {} as Transport,
      store,
      clock: systemClock,
      recorder: new Recorder(store),
    },
    new View(document, STABLE.runId, 0),
  );
  return { session, store, error };
}

test("a document of an unknown version ends the session's service, and is no error of the caretaker's", async () => {
  const { session, store, error } = settling("UNSUPPORTED_DOCUMENT");
  await caretake(session, store);
  expect(() => session.enter()).toThrow(error);
});

test("a Redis that does not answer ends nothing", async () => {
  const { session, store } = settling("REDIS_UNREACHABLE");
  await caretake(session, store);
  expect(session.enter()).toBe(session.view);
});
