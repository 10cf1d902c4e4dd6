/**
 * `reindex NODE`: the server itself is read, and every key of ours that it owns is listed. Afterwards the index can be trusted for it again:
 * no ` u` on its fence, no entry in the document's `untrusted`.
 *
 *   1  untrusted += NODE, its fence raised     from here on a crash leaves a server that migrations read by metadump
 *   2  ` u` off its fence, by CAS              who cannot record from now on puts it back
 *   3  metadump ─► keys it owns ─► their sets; the others are strays, and go: without its ` u` rule G would not look for them here
 *   4  untrusted -= NODE                       refused when Redis has failed over since 1
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { classicCas, metaGet } from "../memcached/commands.ts";
import { formatFence, parseFence } from "../memcached/fence.ts";
import { ourKeys } from "../protocol/our-keys.ts";
import { Retry } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import { ask } from "../protocol/validate.ts";
import type { View } from "../protocol/view.ts";
import { type NodeRecord, nodeByName, successor } from "../topology/document.ts";
import type { TopologyStore } from "../topology/store.ts";
import { entriesByPoint } from "./entries.ts";
import type { OnProgress } from "./progress.ts";
import { purgeKeys } from "./purge.ts";
import { persist, requireStable } from "./ready.ts";
import { refence } from "./refence.ts";

const BATCH_KEYS = 1_000;
const TRIES = 50;
const DUMP_TRIES = 3;
const EXAMPLES = 10;

export interface ReindexReport {
  readonly node: string;
  /** Keys listed; most of them had been. */
  readonly keys: number;
  /** Keys that the server held but does not own; deleted. */
  readonly strays: { readonly count: number; readonly examples: readonly string[] };
}

/**
 * Idempotent; after a crash run it again. Reads and writes go on. The caller holds the lease.
 * @throws RingshiftError NODE_UNKNOWN, NODE_DOWN, MIGRATION_RUNNING, META_REQUIRED where the server does not list its keys
 */
export async function reindex(
  session: Session,
  store: TopologyStore,
  name: string,
  report: OnProgress,
): Promise<ReindexReport> {
  requireNode(session, name);
  const { redisRunId } = await refence(
    session,
    store,
    {
      command: `reindex ${name}`,
      nodes: (document) => document.nodes.filter((node) => node.name === name),
      changes: ({ untrusted }) => ({ untrusted: [...new Set([...untrusted, name])] }),
    },
    report,
  );
  const node = requireNode(session, name);
  await persist(session, (view) => unmark(session, view.document.fences[name]!, node));
  report({ step: "dumping", node: name });
  const found = await listAll(session, store, node);
  await trust(session, store, name, redisRunId);
  return { node: name, ...found };
}

/** Takes the ` u` off a fence, keeping number and incarnation. @throws Retry */
async function unmark(session: Session, number: number, node: NodeRecord): Promise<void> {
  const { fenceKey } = session.namespace;
  const found = await ask(session, session.view, node, [metaGet(fenceKey, "v c")]);
  const reply = found.replies[0]!;
  const fence = parseFence(reply.value?.toString("latin1") ?? "");
  if (fence.number !== number) throw new Retry(); // somebody plants: then it is marked again
  if (!fence.unindexed) return;
  const text = Buffer.from(formatFence(number, fence.incarnation, false), "latin1");
  const put = await ask(session, session.view, node, [classicCas(fenceKey, 0, 0, reply.cas!, text)], found.connection);
  if (put.replies[0]!.status !== "STORED") throw new Retry();
}

async function listAll(session: Session, store: TopologyStore, node: NodeRecord) {
  for (let i = 1; ; i++) {
    try {
      return await listOnce(session, store, node);
    } catch (error) {
      if (i === DUMP_TRIES || !isRingshiftError(error, "PROTOCOL_ERROR")) throw error; // a damaged dump is read again
    }
  }
}

async function listOnce(session: Session, store: TopologyStore, node: NodeRecord) {
  const examples: string[] = [];
  let [keys, count] = [0, 0];
  for await (const batch of ourKeys(session, node, BATCH_KEYS)) {
    const { view } = session;
    const owned = batch.filter((key) => view.owner(view.hashOf(key)).index === node.index);
    keys += owned.length;
    await record(session, store, owned);
    if (owned.length === batch.length) continue;
    const strays = batch.filter((key) => view.owner(view.hashOf(key)).index !== node.index);
    count += strays.length;
    examples.push(...strays.slice(0, EXAMPLES - examples.length));
    await persist(session, (present) => purgeStrays(session, present, node, strays));
  }
  return { keys, strays: { count, examples } };
}

/** @throws Retry; RingshiftError MIGRATION_RUNNING when the ring changes meanwhile */
function purgeStrays(session: Session, view: View, node: NodeRecord, keys: readonly string[]): Promise<number> {
  requireStable(view.document);
  return purgeKeys(session, view, node, keys);
}

/** Lists the keys under the points that own them. @throws RingshiftError MIGRATION_RUNNING when the ring changes meanwhile */
export async function record(session: Session, store: TopologyStore, keys: readonly string[]): Promise<void> {
  for (let i = 0; i < TRIES && keys.length > 0; i++) {
    const { view } = session;
    requireStable(view.document);
    const id = await store.record(view.document.generation, entriesByPoint(view, keys));
    if (id === view.document.id) return;
    await session.look(); // the end of settling, for example; the same ring
  }
  if (keys.length > 0) throw meanwhile();
}

async function trust(session: Session, store: TopologyStore, name: string, runId: string): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    const { document, redisRunId } = await session.look();
    requireStable(document);
    if (redisRunId !== runId || document.runId !== runId) throw failedOver(name);
    const untrusted = document.untrusted.filter((other) => other !== name);
    const next = successor(document, runId, { untrusted });
    if ((await store.publish(document.id, next, runId)) === "published") {
      await session.look();
      return;
    }
  }
  throw meanwhile();
}

function requireNode(session: Session, name: string): NodeRecord {
  const { document } = session.view;
  const node = nodeByName(document, name);
  if (node !== undefined) return node;
  const known = document.nodes.map((other) => other.name).join(", ");
  throw new RingshiftError("NODE_UNKNOWN", `No node is named ${name}; the cluster has ${known} (ringshift status).`);
}

function meanwhile(): RingshiftError {
  return new RingshiftError("MIGRATION_RUNNING", "The topology keeps changing: run the command again.");
}

function failedOver(name: string): RingshiftError {
  return new RingshiftError(
    "UNCONFIRMED",
    `Redis failed over while ${name} was being read, so entries may be lost again: run ringshift reindex ${name} once more.`,
    { node: name },
  );
}
