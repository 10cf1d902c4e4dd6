/** Starts a cluster: checks the servers, plants their first fences, publishes the first document. */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Transport } from "../memcached/transport.ts";
import { systemClock } from "../protocol/system-clock.ts";
import {
  type Compat,
  DOCUMENT_VERSION,
  type NodeRecord,
  randomId,
  type TopologyDocument,
} from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import type { RedisStore } from "../topology/redis-store.ts";
import { type NewNode, newRecord } from "./change.ts";
import { requireOthers } from "./one-server.ts";
import { viewOf } from "./plan.ts";
import { checkServer, type PrepareOptions, plantFirst, requireEmpty } from "./prepare.ts";
import { standingFence } from "./standing-fence.ts";

export interface InitOptions extends PrepareOptions {
  readonly compat?: Compat | undefined;
  /** Hash only what stands in braces, `{user:1}:a` as `user:1`. Default false. For the life of the cluster. */
  readonly hashTags?: boolean | undefined;
}

/**
 * All servers are checked before the first one is planted, or emptied if asked: a refusal by one leaves the others as they were.
 * @throws RingshiftError ALREADY_INITIALISED, REDIS_EVICTS, NODE_EXISTS, NODE_NOT_EMPTY and what a server can be refused for; nothing is published then
 */
export async function initialise(
  store: RedisStore,
  transport: Transport,
  namespace: Namespace,
  nodes: readonly NewNode[],
  options: InitOptions = {},
): Promise<TopologyDocument> {
  const { document: present, runId } = await store.read();
  if (present !== null) throw already(namespace, present);
  await store.checkEviction();
  const document = firstDocument(nodes, runId, {
    compat: options.compat ?? "ringshift",
    hashTags: options.hashTags ?? false,
  });
  viewOf(document); // names, weights and doubles are refused here
  const probes = await Promise.all(
    document.nodes.map((node) => checkServer(node, { access: transport.access, ...options })),
  );
  const beforeFlush = async () => {
    const { document: other } = await store.read();
    if (other !== null) throw already(namespace, other);
  };
  for (const [i, node] of document.nodes.entries()) {
    const fence = (await standingFence(transport, namespace, node))?.number;
    if (fence !== undefined && fence > 0 && !options.flush) throw lostTopology(namespace, node);
    if (!options.flush) await requireEmpty(namespace, node, probes[i]!, options, transport);
  }
  for (const [i, node] of document.nodes.entries()) {
    // what a flush takes with it is planted again at once: another init may have planted it
    if (options.flush) await requireEmpty(namespace, node, probes[i]!, { ...options, beforeFlush }, transport);
    const planted = await plantFirst(transport, namespace, node, 0, options.adopt === true, systemClock);
    if (planted > 0) throw lostTopology(namespace, node);
  }
  await requireOthers(transport, namespace, document.nodes, []);
  if ((await store.publish(null, document, runId)) !== "published") {
    const { document: other } = await store.read();
    throw already(namespace, other);
  }
  return document;
}

/**
 * As `initialise`, but a cluster that is there already, or that another process starts at the same time, is as good. Whatever the refusal
 * was: that process' first keys and fences may have been what this one met.
 */
export async function initialiseIfNeeded(...args: Parameters<typeof initialise>): Promise<void> {
  try {
    await initialise(...args);
  } catch (error) {
    if (isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
    const [store] = args;
    if ((await store.read()).document === null) throw error;
  }
}

function firstDocument(nodes: readonly NewNode[], runId: string, ring: TopologyDocument["ring"]): TopologyDocument {
  const records: NodeRecord[] = nodes.map((node, index) => newRecord(node, index));
  const addresses = new Set(records.map((node) => node.address));
  if (records.length === 0) throw new RingshiftError("INVALID_OPTION", "A cluster needs at least one server.");
  if (addresses.size < records.length) throw new RingshiftError("INVALID_OPTION", "The same server is named twice.");
  return {
    version: DOCUMENT_VERSION,
    id: randomId(),
    epoch: 0,
    phase: "S",
    ring,
    nodes: records,
    previousNodes: null,
    fences: Object.fromEntries(records.map((node) => [node.name, 0])),
    settling: false,
    generation: 0,
    migrations: 0,
    nextIndex: records.length,
    runId,
    untrusted: [],
    operation: null,
  };
}

function already(namespace: Namespace, document: TopologyDocument | null): RingshiftError {
  const nodes = document?.nodes.map((node) => node.name).join(", ") ?? "?";
  return new RingshiftError(
    "ALREADY_INITIALISED",
    `Redis knows a cluster in namespace ${namespace.name} already (${nodes}): see ringshift status; ringshift init --if-needed accepts it.`,
  );
}

function lostTopology(namespace: Namespace, node: NodeRecord): RingshiftError {
  return new RingshiftError(
    "NODE_NOT_EMPTY",
    `${node.name} belongs to a cluster of namespace ${namespace.name} that this Redis does not know: is it the right Redis? --flush starts anew, without the keys.`,
    { node: node.name },
  );
}
