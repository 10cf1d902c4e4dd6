/** `quit()` with a write on its way, where writes that reject are listed first (`onRejoin`). */
import { expect, test } from "vitest";
import { Rejoin } from "../../src/client/rejoin.ts";
import { RingshiftError } from "../../src/errors.ts";
import type { LinkPool } from "../../src/memcached/pool.ts";
import type { DirtyKeys } from "../../src/topology/dirty-keys.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { codeOf, until, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });

test("a write that was sent before quit is of unknown effect, not one that was never sent", async () => {
  const cluster = bench.cluster(1);
  const [server] = bench.local.memcached;
  const cache = await cluster.client({ onRejoin: "repair", timeoutMs: 1_500 });
  await cache.set("k", 1);
  await server!.kill("SIGSTOP");
  try {
    const sent = codeOf(cache.set("k", 2));
    await until("it is sent", () => cache.nodeStates()[server!.address]!.inFlight > 0);
    const quit = cache.quit();
    expect(await sent).toBe("AMBIGUOUS_WRITE");
    await quit;
  } finally {
    await server!.kill("SIGCONT");
  }
});

test("a poll that is answered when the client is closed has nobody to keep out", async () => {
  const rejoin = new Rejoin("repair", namespaceOf(undefined), {
    nodesWithSome: async (names: readonly string[]) => [...names],
  } as Partial<DirtyKeys> as DirtyKeys);
  rejoin.attach({
    link: () => {
      throw new RingshiftError("CLOSED", "closed");
    },
  } as Partial<LinkPool> as LinkPool);
  await rejoin.poll([{ name: "a", address: "127.0.0.1:1" }]);
});
