/**
 * Fail-over of Redis (docs/protocol.md): Redis' run id is not the document's any more, so it may have forgotten documents and entries.
 *
 * Once every registered client has had the time to put back a newer document, and no server's fence is newer, the document is published
 * again under the present run id, with every server's part of the index untrusted until a reindex. Where a server has no fence, our keys on it go
 * first: a forgotten D raised at least two fences, so one that stands would show it, but the other one may be that of a server that was joining,
 * which nobody knows any more. A server that does not answer may still show its own. With a second one that does not, or has none, it is given
 * the hold-off to come back; then it is dead.
 */

import { isRingshiftError } from "../errors.ts";
import { metaGet } from "../memcached/commands.ts";
import type { FenceReading } from "../memcached/exchange.ts";
import { parseFence } from "../memcached/fence.ts";
import { ExchangeError } from "../memcached/transport.ts";
import { allNodes, confirmedAgain, type NodeRecord, type TopologyDocument } from "../topology/document.ts";
import { REGISTRATION_MS } from "../topology/store.ts";
import { deleteOurKeys } from "./our-keys.ts";
import type { Session } from "./session.ts";
import { HOLD_OFF_MS } from "./settle.ts";

/** For an answer of a server that lists its keys: over a connection that is dead without knowing it every client would wait for the whole minute of a dump. */
const DUMP_WAIT_MS = 5_000;

interface Notice {
  /** The document and run id that the session sees now, and since when. */
  readonly what: string;
  readonly at: number;
  /** Servers that have not answered at any look, and since when. */
  readonly silentSince: Map<string, number>;
}

const noticed = new WeakMap<Session, Notice>();

/** One step towards a confirmed document; call again while the view is unconfirmed. @throws RingshiftError REDIS_UNREACHABLE */
export async function confirm(session: Session): Promise<void> {
  const view = await session.look();
  if (view.confirmed) return;
  const runId = view.redisRunId;
  const what = `${view.document.id} ${runId}`;
  const seen = noticed.get(session);
  if (seen?.what !== what) {
    noticed.set(session, { what, at: session.clock.now(), silentSince: new Map() });
    return;
  }
  if (session.clock.now() - seen.at < REGISTRATION_MS) return;
  const { document } = view;
  if ((await session.store.unacknowledged(document.epoch)).length > 0) return;
  const { newer, lost, silent } = await readFences(session, document);
  const dead = areDead(session, seen, silent);
  if (newer.length > 0) return; // a D that Redis forgot, and nobody alive holds: the operator's (recover.ts)
  // dead, or only out of reach: then its fence may show more when it is back
  if (lost.length + silent.length > 1 && !dead) return;
  for (const node of lost) if (!(await emptied(session, node))) return;
  await session.store.publish(document.id, confirmedAgain(document, runId), runId);
  await session.look();
}

/** All of these have been silent for the hold-off, at every look: one answer that was late is no death. */
function areDead({ clock }: Session, { silentSince }: Notice, silent: readonly NodeRecord[]): boolean {
  const now = clock.now();
  const names = new Set(silent.map(({ name }) => name));
  for (const name of silentSince.keys()) if (!names.has(name)) silentSince.delete(name);
  for (const name of names) if (!silentSince.has(name)) silentSince.set(name, now);
  return [...silentSince.values()].every((since) => now - since >= HOLD_OFF_MS);
}

/** Where the servers' fences stand against the document. */
export interface Fences {
  /** The highest number found. */
  readonly highest: number;
  readonly newer: readonly NodeRecord[];
  /** No fence, or a nonce. */
  readonly lost: readonly NodeRecord[];
  /** No answer: dead, or out of reach. */
  readonly silent: readonly NodeRecord[];
}

export async function readFences(session: Session, document: TopologyDocument): Promise<Fences> {
  const [newer, lost, silent]: NodeRecord[][] = [[], [], []];
  let highest = 0;
  for (const node of allNodes(document)) {
    try {
      const { replies } = await session.transport.exchange(node, [metaGet(session.namespace.fenceKey, "v")]);
      const { number } = parseFence(replies[0]?.value?.toString("latin1") ?? "");
      if (number === undefined) lost!.push(node);
      else if (number > (document.fences[node.name] ?? 0)) newer!.push(node);
      highest = Math.max(highest, number ?? 0);
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error;
      silent!.push(node);
    }
  }
  return { highest, newer: newer!, lost: lost!, silent: silent! };
}

/** Counts as eviction. False: its keys cannot be listed now; tried again at the next heartbeat. */
async function emptied(session: Session, node: NodeRecord): Promise<boolean> {
  try {
    // as soon as a fence stands, or this session hears of it, somebody else has confirmed: what is written from then on stays
    const may = (fence: FenceReading | undefined) => fence?.number === undefined && !session.view.confirmed;
    await deleteOurKeys(session, node, may, DUMP_WAIT_MS);
    return true;
  } catch (error) {
    if (isRingshiftError(error)) return false;
    throw error;
  }
}
