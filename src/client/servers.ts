/** Commands to the servers rather than to a key: flush, stats, version. */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { FENCE_KEY_PREFIX } from "../memcached/key.ts";
import type { ServerAdmin } from "../memcached/pool-protocol.ts";
import { plant } from "../protocol/plant.ts";
import { remove } from "../protocol/remove.ts";
import type { Session } from "../protocol/session.ts";
import { allNodes, type NodeRecord } from "../topology/document.ts";
import type { Core } from "./core.ts";

/** Keys deleted at once by `flush`. */
const BATCH_KEYS = 1_000;
const COMMANDS_PER_DELETE = 2;
/** All of ringshift's own items. */
const OWN_PREFIX = "ringshift:";

export interface FlushOptions {
  /**
   * `flush_all` on every server instead of deleting this cluster's keys one by one: quicker, and it takes whatever else lies on them, keys of
   * other namespaces and other programs included. Default false.
   */
  readonly everything?: boolean | undefined;
}

/**
 * Deletes the keys of this cluster (of its namespace), and answers how many.
 *
 * Without `everything` the servers list their keys and each is deleted as `delete` does it, in any phase of a migration: what was stored
 * before the call and not stored again since is gone afterwards; what is stored meanwhile may stay or go. Other namespaces' keys and all fences stay.
 * With `everything` the same holds, and the lost fences are planted again. It runs twice over all servers, so that a key that crosses from one
 * to another meanwhile is met at least once. It has many steps, each of which waits no longer than `timeoutMs` for its server.
 */
export async function flush(core: Core, { everything = false }: FlushOptions): Promise<number> {
  const { session } = core;
  core.requireOpen();
  if (everything) return flushAll(core);
  const { keyPrefix } = session.namespace;
  const others = keyPrefix === "" ? await otherNamespaces(core) : [];
  const { queueLimit = Number.POSITIVE_INFINITY, timeoutMs } = core.options;
  const batchKeys = Math.min(BATCH_KEYS, Math.max(1, Math.floor(queueLimit / COMMANDS_PER_DELETE)));
  let deleted = 0;
  for (const node of allNodes(session.view.document)) {
    let batch: string[] = [];
    for await (const wire of session.transport.dump(node, timeoutMs)) {
      if (!wire.startsWith(keyPrefix) || wire.startsWith(OWN_PREFIX)) continue;
      if (others.some((prefix) => wire.startsWith(prefix))) continue;
      if (batch.push(wire) < batchKeys) continue;
      deleted += await removeAll(core, batch);
      batch = [];
    }
    deleted += await removeAll(core, batch);
  }
  return deleted;
}

/** Deletes them at once, and waits for all of them. How many there were. @throws RingshiftError the first failure */
async function removeAll(core: Core, wires: readonly string[]): Promise<number> {
  core.requireOpen();
  const one = (wire: string) => core.operate(core.wireCall(wire, true, true, (route) => remove(core.session, route)));
  const outcomes = await Promise.allSettled(wires.map(one));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure !== undefined) throw failure.reason;
  return outcomes.filter((outcome) => outcome.status === "fulfilled" && outcome.value).length;
}

/** What `stats`, or `stats <what>`, says, by node and name. @throws RingshiftError INVALID_OPTION for what the servers do not know */
export async function stats(core: Core, what: string): Promise<Record<string, Record<string, string>>> {
  if (typeof what !== "string") {
    throw new RingshiftError("INVALID_OPTION", 'stats takes the kind of statistics as text: stats("settings").');
  }
  return perNode(core, async (node) => {
    try {
      return Object.fromEntries(await adminOf(core, node).stats(what));
    } catch (error) {
      const refused = isRingshiftError(error, "PROTOCOL_ERROR") || isRingshiftError(error, "SERVER_ERROR"); // binary says the latter
      if (!refused || what === "") throw error;
      const message = `${node.name} knows no statistics ${JSON.stringify(what)}: ${error.message}`;
      throw new RingshiftError("INVALID_OPTION", message, { node: node.name, cause: error });
    }
  });
}

/** The version text, by node. */
export async function version(core: Core): Promise<Record<string, string>> {
  return perNode(core, (node) => adminOf(core, node).version());
}

async function flushAll(core: Core): Promise<number> {
  const { session } = core;
  const items = async (node: NodeRecord) => Number((await adminOf(core, node).stats("")).get("curr_items") ?? 0);
  let before = 0;
  for (let round = 0; round < 2; round++) {
    for (const node of allNodes(session.view.document)) {
      core.requireOpen();
      if (!session.view.unfenced) await requirePlantable(session);
      if (round === 0) before += await items(node);
      await adminOf(core, node).flushAll();
      if (!session.view.unfenced) await plant(session, node).catch(() => {}); // the next command on the server does it
    }
  }
  return before;
}

/**
 * A server whose fence is gone takes no write until the fence is planted again, which needs a document that Redis has and that is confirmed.
 * @throws RingshiftError REDIS_UNREACHABLE, UNCONFIRMED
 */
async function requirePlantable(session: Session): Promise<void> {
  const { confirmed } = await session.look();
  if (confirmed) return;
  throw new RingshiftError(
    "UNCONFIRMED",
    "Redis failed over or restarted and the topology is not confirmed yet: flush everything when it is (ringshift status).",
  );
}

/** Key prefixes of the other clusters that have fences on these servers. */
async function otherNamespaces(core: Core): Promise<string[]> {
  const { session } = core;
  const found = new Set<string>();
  if (session.view.unfenced) return [];
  for (const node of allNodes(session.view.document)) {
    for await (const wire of session.transport.dump(node, core.options.timeoutMs)) {
      if (wire.startsWith(FENCE_KEY_PREFIX)) found.add(wire.slice(FENCE_KEY_PREFIX.length));
    }
  }
  found.delete(session.namespace.name);
  return Array.from(found, (name) => `${name}:`);
}

/** A question to a server takes no longer than a call. */
function adminOf(core: Core, node: NodeRecord): ServerAdmin {
  return core.open.pool.admin(node, core.options.timeoutMs);
}

async function perNode<T>(core: Core, ask: (node: NodeRecord) => Promise<T>): Promise<Record<string, T>> {
  core.requireOpen();
  const nodes = allNodes(core.session.view.document);
  const answers = await Promise.all(nodes.map(ask));
  return Object.fromEntries(nodes.map((node, i) => [node.name, answers[i]!]));
}
