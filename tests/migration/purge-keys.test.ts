/** `purgeKeys` where a server answers some of the looks. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { Recorder } from "../../src/keyindex/recorder.ts";
import type { Command } from "../../src/memcached/exchange.ts";
import { ExchangeError, type Transport } from "../../src/memcached/transport.ts";
import { purgeKeys } from "../../src/migration/purge.ts";
import { Retry } from "../../src/protocol/outcome.ts";
import { Session } from "../../src/protocol/session.ts";
import { systemClock } from "../../src/protocol/system-clock.ts";
import { View } from "../../src/protocol/view.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import type { TopologyStore } from "../../src/topology/store.ts";
import { STABLE } from "../support/documents.ts";

const FENCE = { number: 7, incarnation: "a".repeat(16), unindexed: false, text: "" };
const OTHER = { index: 1, name: "two", address: "127.0.0.1:2" };
const KEYS = Array.from({ length: 100 }, (_, i) => `k${i}`); // two exchanges

/** A server that has a value under every key and answers so many looks. */
function scene(answersLooks: number) {
  const sent: string[] = [];
  const transport = {
    exchange: async (_node: unknown, commands: readonly Command[]) => {
      const verb = commands[0]!.line.slice(0, 2);
      sent.push(verb);
      const looks = sent.filter((other) => other === "mg").length;
      if (verb === "mg" && looks > answersLooks) throw new ExchangeError(new RingshiftError("NODE_DOWN", "gone"), true);
      const replies = commands.map(() => (verb === "mg" ? { status: "HD", cas: "5" } : { status: "HD" }));
      return { replies, fence: FENCE, connection: { id: 1, incarnation: FENCE.incarnation } };
    },
  } as unknown as Transport;
  const view = new View({ ...STABLE, fences: { one: 7, two: 7 } }, STABLE.runId, 0);
  const store = {} as TopologyStore;
  const parts = { namespace: namespaceOf(undefined), transport, store, clock: systemClock };
  const session = new Session({ ...parts, recorder: new Recorder(store) }, view);
  return { sent, purged: purgeKeys(session, view, OTHER, KEYS) };
}

test("what stands under keys of others is deleted", async () => {
  const { sent, purged } = scene(2);
  expect(await purged).toBe(KEYS.length);
  expect(sent).toEqual(["mg", "mg", "md", "md"]);
});

test("where a look is not answered no deletion is begun: nothing is under way when the purge rejects", async () => {
  const { sent, purged } = scene(1);
  await expect(purged).rejects.toBeInstanceOf(Retry);
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual(["mg", "mg"]);
});
