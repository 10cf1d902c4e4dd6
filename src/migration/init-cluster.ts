/** Starts a cluster from outside any client, over connections of its own. */
import { isRingshiftError } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { LinkPool } from "../memcached/pool.ts";
import type { TopologyDocument } from "../topology/document.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { OPERATOR_TIMEOUT_MS } from "../topology/redis-connection.ts";
import { RedisStore } from "../topology/redis-store.ts";
import type { NewNode } from "./change.ts";
import { type InitOptions, initialise } from "./initialise.ts";

export interface InitClusterOptions extends InitOptions {
  /** URL of Redis. */
  readonly redis: string;
  readonly namespace?: string | undefined;
  /** A cluster that is there already, whatever its nodes, is as good. */
  readonly ifNeeded?: boolean | undefined;
  /** As the clients' options of these names. */
  readonly tls?: ServerAccess["tls"];
  readonly auth?: ServerAccess["auth"];
}

/**
 * The cluster's document, and whether this call has made it.
 * @throws RingshiftError ALREADY_INITIALISED unless `ifNeeded`, REDIS_EVICTS, NODE_NOT_EMPTY and what a server can be refused for; nothing
 * is published then
 */
export async function initCluster(
  nodes: readonly NewNode[],
  options: InitClusterOptions,
): Promise<{ readonly document: TopologyDocument; readonly created: boolean }> {
  const namespace = namespaceOf(options.namespace);
  const store = new RedisStore(options.redis, namespace, OPERATOR_TIMEOUT_MS);
  const pool = new LinkPool({ fenceKey: namespace.fenceKey, access: { tls: options.tls, auth: options.auth } });
  try {
    return { document: await initialise(store, pool, namespace, nodes, options), created: true };
  } catch (error) {
    if (!options.ifNeeded || !isRingshiftError(error, "ALREADY_INITIALISED")) throw error;
    const { document } = await store.read();
    if (document === null) throw error;
    return { document, created: false };
  } finally {
    await pool.close();
    await store.close();
  }
}
