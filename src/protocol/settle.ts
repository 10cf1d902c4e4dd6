/**
 * Rule T, after D → S (docs/protocol.md): the next migration starts, and `settling` ends, when every registered client has acknowledged
 * the epoch, or after the hold-off.
 */
import { successor, type TopologyDocument } from "../topology/document.ts";
import type { Session } from "./session.ts";

/** Packets of an older epoch are not expected later than this. */
export const HOLD_OFF_MS = 30_000;
const POLL_MS = 20;

/**
 * Waits for the end of settling and publishes it. Returns at once when the document is settled, and when Redis has failed over
 * (migration/ready.ts, `awaitSettled`).
 * @throws RingshiftError REDIS_UNREACHABLE
 */
export async function settle(session: Session, waiting: () => void = () => {}): Promise<void> {
  let [waitedFor, deadline] = ["", 0];
  let told = false;
  for (;;) {
    const { document, confirmed } = await session.look();
    if (document.id !== waitedFor) {
      // not that of the document before: this process may have been stopped while others made a whole migration
      [waitedFor, deadline] = [document.id, session.clock.now() + HOLD_OFF_MS];
    }
    if (document.phase !== "S" || !document.settling || !confirmed) return;
    const late = await session.store.unacknowledged(document.epoch);
    if (late.length === 0 || session.clock.now() > deadline) {
      await endSettling(session, document);
      continue;
    }
    if (!told) waiting();
    told = true;
    await session.clock.sleep(POLL_MS);
  }
}

/** One look: ends the settling when every registered client has acknowledged the epoch. @throws RingshiftError REDIS_UNREACHABLE */
export async function settleOnce(session: Session): Promise<void> {
  const { document, confirmed } = await session.look();
  if (document.phase !== "S" || !document.settling || !confirmed) return;
  if ((await session.store.unacknowledged(document.epoch)).length === 0) await endSettling(session, document);
}

/**
 * Publishes the settled document; another process may have been faster.
 * @param document that was looked at. The session's view may be of a later phase by now, a D that must not lose its old nodes
 */
async function endSettling(session: Session, document: TopologyDocument): Promise<void> {
  const names = new Set(document.nodes.map((node) => node.name));
  const fences = Object.fromEntries(Object.entries(document.fences).filter(([name]) => names.has(name)));
  const untrusted = document.untrusted.filter((name) => names.has(name));
  const changes = { settling: false, previousNodes: null, operation: null, fences, untrusted };
  const next = successor(document, document.runId, changes);
  await session.store.publish(document.id, next, document.runId);
}
