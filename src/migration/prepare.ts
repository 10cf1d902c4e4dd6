/**
 * What a server has to be before it enters a cluster: reachable, a memcached of 1.6.13 or newer with CAS, one address, and empty.
 * Then it gets the marker item and its fence. Nothing here changes the topology, so a refusal leaves the cluster as it was.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { parseAddress } from "../memcached/address.ts";
import { flushAll, probeServer, type ServerProbe } from "../memcached/admin.ts";
import { classicAdd, classicAppend, metaDelete, metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import { formatFence, parseFence, UNINDEXED_SUFFIX } from "../memcached/fence.ts";
import { MARK_MANAGED } from "../memcached/marker.ts";
import { ExchangeError, MAX_EXCHANGE_COMMANDS, type Transport } from "../memcached/transport.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Session } from "../protocol/session.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import { requireOthers } from "./one-server.ts";

export interface PrepareOptions {
  /** Delete what is there: everything in the default namespace, else this namespace's keys. */
  readonly flush?: boolean | undefined;
  /** Keep what is there: the fence says that the index has gaps, and migrations find the keys by metadump. */
  readonly adopt?: boolean | undefined;
  /** Take a server that looks like a proxy. */
  readonly force?: boolean | undefined;
  /** How servers are reached. Default: as the session's own connections. */
  readonly access?: ServerAccess | undefined;
}

const TRIES = 10;
const RETRY_MS = 300;
const RESERVED = /^ringshift:(?:managed$|fence:)/;

/** Makes servers ready to join a cluster whose fences are at `number` at most; answers their versions. */
export type PrepareServers = (
  session: Pick<Session, "namespace" | "transport" | "clock">,
  nodes: readonly NodeRecord[],
  number: number,
  options: PrepareOptions & FlushGuard & { readonly members: readonly NodeRecord[] },
) => Promise<string[]>;

/** Asked right before a server is flushed: rejects when another process has taken the server in meanwhile. */
export interface FlushGuard {
  readonly beforeFlush?: (() => Promise<void>) | undefined;
}

/**
 * Checks all of them, empties them if asked, then plants their first fences.
 * @throws RingshiftError as `checkServer` and `requireEmpty`; no server is planted then. NODE_EXISTS
 */
export const prepareServers: PrepareServers = async ({ namespace, transport, clock }, nodes, number, options) => {
  const probes = await Promise.all(nodes.map((node) => checkServer(node, { access: transport.access, ...options })));
  for (const node of nodes) transport.retry?.(node); // it answered the probe
  await requireOthers(transport, namespace, nodes, options.members);
  for (const [i, node] of nodes.entries()) {
    await requireEmpty(namespace, node, probes[i]!, options, transport);
    const { replies } = await patiently(() => transport.exchange(node, [metaGet(namespace.fenceKey, "v")]));
    const fence = parseFence(replies[0]?.value?.toString("latin1") ?? "").number;
    if (fence !== undefined && fence > number) {
      throw new RingshiftError(
        "NODE_NOT_EMPTY",
        `${node.name} carries the fence of another cluster (${fence}, ours are at ${number} at most): --flush clears it.`,
        { node: node.name },
      );
    }
  }
  for (const node of nodes) await plantFirst(transport, namespace, node, number, options.adopt === true, clock);
  await requireOthers(transport, namespace, nodes, options.members); // those that had no fence
  return probes.map((probe) => probe.version);
};

/** Checks a server that is to join. @throws RingshiftError NODE_ADDRESS, NODE_DOWN, PROXY, VERSION_TOO_OLD, CAS_DISABLED, META_REQUIRED */
export async function checkServer(node: NodeRecord, options: PrepareOptions): Promise<ServerProbe> {
  await checkAddress(node);
  const probe = await probeServer(node.address, { access: options.access });
  const refuse = (code: "PROXY" | "VERSION_TOO_OLD" | "CAS_DISABLED" | "META_REQUIRED", why: string) => {
    return new RingshiftError(code, `${node.name} at ${node.address} ${why}`, { node: node.name });
  };
  if (probe.looksLikeProxy && !options.force) {
    throw refuse("PROXY", "looks like a proxy: name the servers behind it, or insist with --force.");
  }
  if (!atLeast(probe.version, [1, 6, 13])) {
    throw refuse("VERSION_TOO_OLD", `runs memcached ${probe.version}: upgrade it to 1.6.13 or newer.`);
  }
  if (!probe.meta) throw refuse("META_REQUIRED", "does not speak the meta protocol, which a managed cluster needs.");
  if (!probe.casEnabled) throw refuse("CAS_DISABLED", "runs without CAS: start it without -C.");
  return probe;
}

/** Checks that a server holds no values of ours, or flushes it. Placeholders and leases count as none, and are deleted. @throws RingshiftError NODE_NOT_EMPTY */
export async function requireEmpty(
  namespace: Namespace,
  node: NodeRecord,
  probe: ServerProbe,
  options: PrepareOptions & FlushGuard,
  transport: Transport,
): Promise<void> {
  if (probe.currItems === 0 || options.adopt) return;
  if (options.flush) {
    await options.beforeFlush?.();
    return flush(namespace, node, transport);
  }
  const key = await anyKey(namespace, node, transport);
  if (key === undefined) return;
  throw new RingshiftError(
    "NODE_NOT_EMPTY",
    `${node.name} at ${node.address} holds keys already (${JSON.stringify(key)} is one): old values could come back. --flush deletes them.`,
    { node: node.name },
  );
}

/**
 * Puts the marker and, where none is, the fence. Answers the number that stands there.
 * @param unindexed the fence has ` u` afterwards, also one that stood there before
 */
export async function plantFirst(
  transport: Transport,
  namespace: Namespace,
  node: NodeRecord,
  number: number,
  unindexed: boolean,
  clock: Clock,
): Promise<number> {
  const fence = Buffer.from(formatFence(number, clock.randomId(), unindexed));
  const commands = [MARK_MANAGED, classicAdd(namespace.fenceKey, 0, 0, fence), metaGet(namespace.fenceKey, "v")];
  const { replies } = await patiently(() => transport.exchange(node, commands));
  const standing = parseFence(replies[2]?.value?.toString("latin1") ?? "");
  if (unindexed && !standing.unindexed) {
    await patiently(() => transport.exchange(node, [classicAppend(namespace.fenceKey, UNINDEXED_SUFFIX)]));
  }
  return standing.number ?? -1;
}

/** A step that may run twice, at a server that has just answered a probe: where a connection fails now it is tried again for a while. */
async function patiently<T>(step: () => Promise<T>): Promise<T> {
  for (let i = 1; ; i++) {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error;
      if (i === TRIES || !["NODE_DOWN", "TIMEOUT"].includes(error.error.code)) throw error.error;
      await sleep(RETRY_MS);
    }
  }
}

/** Deletes this cluster's keys from a server that is not part of it. */
async function flush(namespace: Namespace, node: NodeRecord, transport: Transport): Promise<void> {
  if (namespace.keyPrefix === "") return flushAll(node.address, { access: transport.access });
  let batch: string[] = [];
  const drop = async () => {
    const deletes = batch.map((key) => metaDelete(key));
    if (deletes.length > 0) await patiently(() => transport.exchange(node, deletes));
    batch = [];
  };
  for await (const key of transport.dump(node)) {
    if (!key.startsWith(namespace.keyPrefix)) continue;
    batch.push(key);
    if (batch.length === MAX_EXCHANGE_COMMANDS) await drop();
  }
  batch.push(namespace.fenceKey); // of an earlier life: its number means nothing any more
  await drop();
}

/** Some key of this namespace that has a value and is not one of ringshift's own items. Placeholders and leases are deleted. */
async function anyKey(namespace: Namespace, node: NodeRecord, transport: Transport): Promise<string | undefined> {
  let batch: string[] = [];
  for await (const key of transport.dump(node)) {
    if (RESERVED.test(key) || !key.startsWith(namespace.keyPrefix)) continue;
    batch.push(key);
    if (batch.length < MAX_EXCHANGE_COMMANDS) continue;
    const found = await anyValue(node, batch, transport);
    if (found !== undefined) return found;
    batch = [];
  }
  return anyValue(node, batch, transport);
}

/**
 * Some key among these that has a value. What stands in for one is absent to everybody, so it is no reason to refuse the server. It goes by its CAS,
 * lest its holder fill it when the server has joined; one that is filled or renewed meanwhile is looked at again.
 */
async function anyValue(node: NodeRecord, keys: readonly string[], transport: Transport): Promise<string | undefined> {
  if (keys.length === 0) return undefined;
  const looks = keys.map((key) => metaGet(key, "f c"));
  const { value, changed } = await patiently(async () => {
    const { replies, connection } = await transport.exchange(node, looks);
    const there = keys.flatMap((key, i) => (replies[i]!.status === "EN" ? [] : [{ key, reply: replies[i]! }]));
    const value = there.find(({ reply }) => reply.flags !== PLACEHOLDER_FLAGS)?.key;
    if (value !== undefined || there.length === 0) return { value, changed: [] };
    const deletes = there.map(({ key, reply }) => metaDelete(key, { cas: reply.cas }));
    const deleted = await transport.exchange(node, deletes, connection);
    return { value, changed: there.filter((_, i) => deleted.replies[i]!.status === "EX").map(({ key }) => key) };
  });
  return value ?? anyValue(node, changed, transport);
}

/** One server behind one name. Several addresses of one family are several servers. */
async function checkAddress(node: NodeRecord): Promise<void> {
  const { host, path } = parseAddress(node.address);
  if (path !== undefined || isIP(host) !== 0) return;
  const found = await lookup(host, { all: true }).catch((cause: unknown) => {
    throw new RingshiftError("NODE_ADDRESS", `${node.name}: the name ${host} cannot be resolved.`, {
      node: node.name,
      cause,
    });
  });
  for (const family of [4, 6]) {
    const addresses = new Set(found.filter((one) => one.family === family).map((one) => one.address));
    if (addresses.size > 1) {
      throw new RingshiftError(
        "NODE_ADDRESS",
        `${host} has ${addresses.size} addresses (${[...addresses].join(", ")}): name each server by its own.`,
        { node: node.name },
      );
    }
  }
}

function atLeast(version: string, wanted: readonly number[]): boolean {
  const have = version.split(/[^0-9]+/).map(Number);
  for (const [i, want] of wanted.entries()) {
    const got = have[i] ?? 0;
    if (got !== want) return got > want;
  }
  return true;
}
