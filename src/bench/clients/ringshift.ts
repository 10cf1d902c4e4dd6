/** ringshift as the benchmark opens it: as everybody does, and once without fences, to see what they cost. */

import { Client } from "../../client/client.ts";
import { createClient } from "../../client/create.ts";
import { openManaged } from "../../client/session.ts";
import { LinkPool } from "../../memcached/pool.ts";
import type { View } from "../../protocol/view.ts";
import { namespaceOf } from "../../topology/namespace.ts";
import { type BenchClient, type BenchTarget, TIMEOUT_MS } from "./clients.ts";

export async function openRingshift({ servers, redis }: BenchTarget): Promise<BenchClient & { client: Client }> {
  return benchClient(await createClient({ redis, servers, timeoutMs: TIMEOUT_MS, ioTimeoutMs: TIMEOUT_MS }));
}

/**
 * The same client over connections whose flushes end without the get of the fence, and with views that ask for none. It would miss a
 * change of the ring: nothing outside the benchmark may have this.
 */
export async function openUnfenced(target: BenchTarget): Promise<BenchClient> {
  const open = await openManaged({ redis: target.redis, namespace: namespaceOf(undefined), ioTimeoutMs: TIMEOUT_MS });
  const { session } = open;
  const pool = new LinkPool({ mayFlush: () => session.gateOpen(), timeoutMs: TIMEOUT_MS });
  const before = session.onView;
  withoutFences(session.view);
  session.onView = (view, old) => {
    withoutFences(view);
    before(view, old);
  };
  const close = async () => {
    await pool.close();
    await open.close();
  };
  return benchClient(new Client({ ...open, pool, close }, { timeoutMs: TIMEOUT_MS, retryAmbiguous: false }));
}

function withoutFences(view: View): void {
  Object.defineProperty(view, "unfenced", { value: true });
}

function benchClient(client: Client): BenchClient & { client: Client } {
  return {
    client,
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value),
    getMany: (keys) => client.getMulti(keys),
    close: () => client.quit(),
  };
}
