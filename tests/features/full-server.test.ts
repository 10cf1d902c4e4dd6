/** getOrSet on a server that is full and does not evict (-M), and so has no memory for a lease either. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create.ts";
import { openPlain } from "../../src/client/plain-session.ts";
import type { OpenSession } from "../../src/client/session.ts";
import { isRingshiftError } from "../../src/errors.ts";
import { newRecord } from "../../src/migration/change.ts";
import { renewLease, takeLease } from "../../src/protocol/lease.ts";
import { type MemcachedServer, startMemcached } from "../../src/testing/local-cluster.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";

let server: MemcachedServer;
let cache: Client;
let open: OpenSession;

beforeAll(async () => {
  server = await startMemcached({ memoryMb: 2, args: ["-M"] });
  cache = await createClient({ servers: [server.address] });
  open = await openPlain({
    connectTimeoutMs: 1000,
    ioTimeoutMs: 1000,
    servers: [newRecord({ address: server.address }, 0)],
    namespace: namespaceOf(undefined),
    compat: "ringshift",
    hashTags: false,
    unmanaged: false,
  });
});

afterAll(async () => {
  await cache.quit();
  await open.close();
  await server.stop();
});

const AT_ONCE = 100;

/** Until no item of this size fits any more. */
async function fill(valueBytes: number): Promise<void> {
  const add = (i: number) => cache.add(`filler:${valueBytes}:${i}`, "-".repeat(valueBytes));
  for (let from = 0; ; from += AT_ONCE) {
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => add(from + i)));
    } catch (error) {
      if (!isRingshiftError(error, "SERVER_ERROR")) throw error;
      return;
    }
  }
}

test("the value is loaded and answered, though nobody stores it; what stands there stays", async () => {
  await cache.set("here", "a value");
  await fill(400_000); // takes the pages
  for (let bytes = 1; bytes < 200; bytes += 20) await fill(bytes);
  const key = "a-key-whose-lease-does-not-fit";
  expect(await cache.getOrSet(key, 60, () => "loaded")).toBe("loaded");
  expect(await cache.get(key)).toBeUndefined();
  expect(cache.metrics()).toMatchObject({ loads: 1, loadsDiscarded: 1 });

  // who takes or renews a lease where a value was stored meanwhile must not cost that value
  const { session } = open;
  expect(await takeLease(session, session.view.route("here"))).toBeUndefined();
  const nobody = session.view.route("another-key-whose-lease-does-not-fit");
  expect(await takeLease(session, nobody)).toBe("refused");
  const { connection } = await open.pool.link(nobody.node).exchange([]);
  const lease = { text: Buffer.from("lease 0 0123456789abcdef"), cas: "1", node: nobody.node.name, connection };
  expect(await renewLease(session, session.view.route("here"), { ...lease, epoch: 0, migrations: 0 })).toBeUndefined();
  expect(await cache.get("here")).toBe("a value");
});
