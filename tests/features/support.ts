/**
 * Clusters for the tests of this folder: one in S, and one that is held in D by a copier that moves next to nothing.
 */
import { afterAll } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create.ts";
import type { ClientOptions } from "../../src/client/options.ts";
import { openAdmin } from "../../src/migration/admin.ts";
import { LocalCluster } from "../../src/testing/local-cluster.ts";

const endings: (() => Promise<unknown>)[] = [];

afterAll(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

export interface TestCluster {
  readonly local: LocalCluster;
  /** Another client of the cluster, ended with the file. */
  client(options?: Partial<ClientOptions>): Promise<Client>;
}

export async function stableCluster(memcached = 2): Promise<TestCluster> {
  const local = await LocalCluster.start({ memcached });
  endings.push(() => local.stop());
  const client = async (options: Partial<ClientOptions> = {}) => {
    const made = await createClient({ redis: local.redis.url, servers: local.servers, ...options });
    endings.push(() => made.quit());
    return made;
  };
  return { local, client };
}

/** Keys stored before the change, which the copier has not moved. */
export const OLD_KEYS = Array.from({ length: 400 }, (_, i) => `old:${i}`);

/** A cluster in phase D: a third server joins, and the copier stands still after its first batch. */
export async function movingCluster(): Promise<TestCluster & { readonly finish: () => Promise<unknown> }> {
  const cluster = await stableCluster(2);
  const first = await cluster.client();
  await first.setMulti(OLD_KEYS.map((key) => [key, `value of ${key}`] as const));
  const joining = await cluster.local.addMemcached();
  const admin = await openAdmin({ redis: cluster.local.redis.url });
  const stop = new AbortController();
  const change = { kind: "add-node", nodes: [{ address: joining.address }] } as const;
  const dual = new Promise<void>((resolve) => first.on("migration", () => resolve()));
  const applied = admin.apply(change, { rate: 1, signal: stop.signal }).catch(() => {});
  endings.push(async () => {
    stop.abort();
    await applied;
    await admin.close();
  });
  await dual;
  /** Carries the change through. */
  const finish = async () => {
    stop.abort();
    await applied;
    return admin.apply(change);
  };
  return { ...cluster, finish };
}

/** Some keys with the prefix that are moving for the client. */
export function movingKeys(client: Client, prefix: string, count: number): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    if (client.locate(`${prefix}${i}`).movingFrom !== undefined) keys.push(`${prefix}${i}`);
  }
  return keys;
}
