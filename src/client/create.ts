import { RingshiftError } from "../errors.ts";
import { newRecord } from "../migration/change.ts";
import { initialiseIfNeeded } from "../migration/initialise.ts";
import { allNodes, type TopologyDocument } from "../topology/document.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { Client } from "./client.ts";
import { Codec } from "./codec.ts";
import type { ClientSettings } from "./core.ts";
import type { OperateOptions } from "./operate.ts";
import { type ClientOptions, checkOptions, newNodes } from "./options.ts";
import { openPlain } from "./plain-session.ts";
import { type LinkTimes, type OpenSession, openManaged } from "./session.ts";

/**
 * Opens a client. With `redis` it belongs to a managed cluster: `servers` starts one if Redis knows none. Without: a plain ketama client.
 * @throws RingshiftError INVALID_OPTION, NOT_INITIALISED, CONFIG_MISMATCH, CLUSTER_MANAGED, REDIS_UNREACHABLE, REDIS_EVICTS, and what a
 * server can be refused for when a cluster is started; nothing is left open then.
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  checkOptions(options);
  const namespace = namespaceOf(options.namespace);
  const { redis, compat, hashTags, timeoutMs = 5_000, tls, auth } = options;
  const nodes = newNodes(options.servers ?? []);
  const settings: ClientSettings = {
    codec: new Codec(options.serializer, options.compress),
    hashLongKeys: options.hashLongKeys,
  };
  // a command may meet a connection that breaks, wait for the next one, and for its answer: within the call's time
  const part = Math.min(1_000, Math.ceil(timeoutMs / 3));
  const link: LinkTimes = {
    connectTimeoutMs: options.connectTimeoutMs ?? part,
    ioTimeoutMs: options.ioTimeoutMs ?? part,
    queueLimit: options.queueLimit,
    access: { tls, auth },
    health: {
      downAfter: options.downAfter ?? 2,
      onRejoin: options.onRejoin,
    },
  };
  if (redis === undefined) {
    const servers = nodes.map((node, index) => newRecord(node, index));
    const { unmanaged = false } = options;
    const ring = { compat: compat ?? "ringshift", hashTags: hashTags ?? false };
    const plain = await openPlain({ ...link, ...ring, servers, namespace, unmanaged });
    return new Client(plain, operateOptions(plain, options, timeoutMs), settings);
  }
  const open = await openManaged({
    ...link,
    redis,
    namespace,
    whenIndexDown: options.whenIndexDown,
    caretaker: true,
    ...(nodes.length === 0
      ? {}
      : { seed: (store, pool) => initialiseIfNeeded(store, pool, namespace, nodes, { compat, hashTags }) }),
  });
  const mismatch = contradiction(open.session.view.document.ring, options);
  if (mismatch === undefined) return new Client(open, operateOptions(open, options, timeoutMs), settings);
  await open.close();
  throw mismatch;
}

function operateOptions(open: OpenSession, options: ClientOptions, timeoutMs: number): OperateOptions {
  const { session, health } = open;
  const { onNodeDown, retryAmbiguous = false } = options;
  const rejoin = health?.rejoin;
  const onLostWrite =
    rejoin && ((node: string, wire: string) => rejoin.lost(allNodes(session.view.document), node, wire));
  return { timeoutMs, retryAmbiguous, onNodeDown, onLostWrite };
}

/** What routing depends on stands in the topology document; a client that asks for something else would look in the wrong places. */
function contradiction(ring: TopologyDocument["ring"], options: ClientOptions): RingshiftError | undefined {
  for (const name of ["compat", "hashTags"] as const) {
    const asked = options[name];
    if (asked === undefined || asked === ring[name]) continue;
    return new RingshiftError(
      "CONFIG_MISMATCH",
      `The cluster has ${name} ${ring[name]}, this client asks for ${asked}: leave the option out.`,
    );
  }
  return undefined;
}
