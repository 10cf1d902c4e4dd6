/**
 * Fail-over of Redis (docs/protocol.md): Redis' run id is not the document's any more, so it may have forgotten documents and entries.
 *
 * Once every registered client has had the time to put back a newer document, and no server's fence is newer, the document is published
 * again under the present run id, with every server's part of the index untrusted until a reindex. Where two servers or more have no
 * fence, our keys on them go first: a forgotten D raised at least two fences, so one that stands would show it.
 */

import { metaDelete, metaGet } from "../memcached/commands.ts";
import { parseFence } from "../memcached/fence.ts";
import { ExchangeError, MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import { allNodes, type NodeRecord, randomId } from "../topology/document.ts";
import { REGISTRATION_MS } from "../topology/store.ts";
import type { Session } from "./session.ts";

/** Since when a session has seen the run id it sees now. */
const noticed = new WeakMap<Session, { readonly runId: string; readonly at: number }>();

/** One step towards a confirmed document; call again while the view is unconfirmed. @throws RingshiftError REDIS_UNREACHABLE */
export async function confirm(session: Session): Promise<void> {
  const view = await session.look();
  if (view.confirmed) return;
  const runId = view.redisRunId;
  const seen = noticed.get(session);
  if (seen?.runId !== runId) {
    noticed.set(session, { runId, at: session.clock.now() });
    return;
  }
  if (session.clock.now() - seen.at < REGISTRATION_MS) return;
  const { document } = view;
  if ((await session.store.unacknowledged(document.epoch)).length > 0) return;
  const lost: NodeRecord[] = [];
  for (const node of allNodes(document)) {
    const number = await fenceNumber(session, node);
    if (number === undefined) lost.push(node);
    else if (number > (document.fences[node.name] ?? 0)) return; // a D that Redis forgot, and nobody alive holds: the operator's
  }
  if (lost.length > 1) for (const node of lost) if (!(await deleteOurKeys(session, node))) return;
  const next = { ...document, id: randomId(), runId, untrusted: allNodes(document).map((node) => node.name) };
  await session.store.publish(document.id, next, runId);
  await session.look();
}

/** Undefined: no fence, a nonce, or no answer. */
async function fenceNumber(session: Session, node: NodeRecord): Promise<number | undefined> {
  try {
    const { replies } = await session.transport.exchange(node, [metaGet(session.namespace.fenceKey, "v")]);
    return parseFence(replies[0]?.value?.toString("latin1") ?? "").number;
  } catch (error) {
    if (error instanceof ExchangeError) return undefined;
    throw error;
  }
}

/** Counts as eviction. False: the server does not answer, or its keys cannot be listed. */
async function deleteOurKeys(session: Session, node: NodeRecord): Promise<boolean> {
  const { keyPrefix } = session.namespace;
  let batch: string[] = [];
  const drop = async () => {
    if (batch.length > 0)
      await session.transport.exchange(
        node,
        batch.map((key) => metaDelete(key)),
      );
    batch = [];
  };
  try {
    for await (const key of session.transport.dump(node)) {
      if (!key.startsWith(keyPrefix) || key.startsWith("ringshift:")) continue;
      batch.push(key);
      if (batch.length === MAX_EXCHANGE_COMMANDS) await drop();
    }
    await drop();
    return true;
  } catch {
    return false; // a dead server has no keys to bring back; one that is merely out of reach is tried again at the next heartbeat
  }
}
