import { applyAll, type Proposal } from "../discovery/apply.ts";
import { intervalOf } from "../discovery/options.ts";
import { type DiscoverySource, sourceOf } from "../discovery/source.ts";
import { DiscoveryWatch } from "../discovery/watch.ts";
import { RingshiftError } from "../errors.ts";
import { type Change, type NewNode, newRecord } from "../migration/change.ts";
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
import { transportOf } from "./transport-options.ts";

/**
 * Opens a client. With `redis` it belongs to a managed cluster: `servers` starts one if Redis knows none. Without: a plain ketama client.
 * @throws RingshiftError INVALID_OPTION, NOT_INITIALISED, CONFIG_MISMATCH, CLUSTER_MANAGED, REDIS_UNREACHABLE, REDIS_EVICTS, and what a
 * server can be refused for when a cluster is started; nothing is left open then.
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  checkOptions(options);
  const namespace = namespaceOf(options.namespace);
  const { redis, compat, hashTags, timeoutMs = 5_000 } = options;
  const { discovery } = options;
  const source =
    discovery && sourceOf(discovery.from, { dnsServers: discovery.dnsServers, access: transportOf(options).access });
  const firstNodes = firstNodesOf(options, source);
  const settings: ClientSettings = {
    codec: new Codec(options.serializer, options.compress),
    hashLongKeys: options.hashLongKeys,
    binaryKeys: options.binaryKeys !== undefined,
  };
  // a command may meet a connection that breaks, wait for the next one, and for its answer: within the call's time
  const part = Math.min(1_000, Math.ceil(timeoutMs / 3));
  const link: LinkTimes = {
    connectTimeoutMs: options.connectTimeoutMs ?? part,
    ioTimeoutMs: options.ioTimeoutMs ?? part,
    queueLimit: options.queueLimit,
    ...transportOf(options),
    health: {
      downAfter: options.downAfter ?? 2,
      onRejoin: options.onRejoin,
    },
  };
  if (redis === undefined) {
    const servers = (await firstNodes!()).map((node, index) => newRecord(node, index));
    const { unmanaged = false } = options;
    const ring = { compat: compat ?? "ringshift", hashTags: hashTags ?? false };
    const plain = await openPlain({ ...link, ...ring, servers, namespace, unmanaged });
    return clientOf(plain, options, timeoutMs, settings, source);
  }
  const open = await openManaged({
    ...link,
    redis,
    namespace,
    whenIndexDown: options.whenIndexDown,
    caretaker: true,
    seed:
      firstNodes &&
      (async (store, pool) => initialiseIfNeeded(store, pool, namespace, await firstNodes(), { compat, hashTags })),
  });
  const mismatch = contradiction(open.session.view.document.ring, options);
  if (mismatch === undefined) return clientOf(open, options, timeoutMs, settings, source);
  await open.close();
  throw mismatch;
}

/** `servers`, else what `discovery` finds; it is asked when they are needed, and with Redis they only start a cluster. */
function firstNodesOf(
  { servers = [] }: ClientOptions,
  source: DiscoverySource | undefined,
): (() => Promise<readonly NewNode[]>) | undefined {
  if (servers.length > 0) return async () => newNodes(servers);
  return source && (() => source.find());
}

function clientOf(
  open: OpenSession,
  options: ClientOptions,
  timeoutMs: number,
  settings: ClientSettings,
  source: DiscoverySource | undefined,
): Client {
  const operate = operateOptions(open, options, timeoutMs);
  if (source === undefined) return new Client(open, operate, settings);
  const { discovery, redis, namespace, tls, auth } = options;
  const apply = (proposal: Proposal, onApplied: (change: Change) => void) =>
    applyAll({ redis: redis!, namespace, tls, auth }, proposal, onApplied);
  const watch = new DiscoveryWatch({
    source,
    intervalMs: intervalOf(discovery!),
    nodes: () => open.session.view.document.nodes,
    apply: discovery!.autoApply ? apply : undefined,
  });
  const close = async () => {
    await watch.stop();
    await open.close();
  };
  return new Client({ ...open, close }, operate, { ...settings, discovery: watch });
}

function operateOptions(open: OpenSession, options: ClientOptions, timeoutMs: number): OperateOptions {
  const { session, health } = open;
  const { onNodeDown, retryAmbiguous = false, connections = 1 } = options;
  const rejoin = health?.rejoin;
  const queueLimit = options.queueLimit && Math.ceil(options.queueLimit / connections);
  const onLostWrite =
    rejoin && ((node: string, wire: string) => rejoin.lost(allNodes(session.view.document), node, wire));
  return { timeoutMs, retryAmbiguous, onNodeDown, onLostWrite, queueLimit };
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
