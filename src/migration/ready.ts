/** What an operator's work on the whole cluster waits for before it begins, and how it bears with servers that come and go. */
import { RingshiftError } from "../errors.ts";
import { Retry } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import { settle } from "../protocol/settle.ts";
import type { View } from "../protocol/view.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type { OnProgress } from "./progress.ts";

/** Until a document that Redis' fail-over has left unconfirmed is confirmed by the clients or by us. */
export const CONFIRM_PATIENCE_MS = 40_000;
const CONFIRM_POLL_MS = 200;
/** A step that rule V has sent back for this long is given up. */
const PATIENCE_MS = 15_000;
const RETRY_MS = 10;

/** Waits while Redis' fail-over has left the document unconfirmed. @throws RingshiftError UNCONFIRMED, REDIS_UNREACHABLE */
export async function awaitConfirmed(session: Session, report: OnProgress): Promise<void> {
  const deadline = session.clock.now() + CONFIRM_PATIENCE_MS;
  let told = false;
  while (!(await session.look()).confirmed) {
    if (!told) report({ step: "waiting", reason: "Redis restarted or failed over: the topology is being confirmed" });
    told = true;
    if (session.clock.now() > deadline) {
      throw new RingshiftError(
        "UNCONFIRMED",
        "Redis failed over and the topology could not be confirmed: see ringshift status. Where a server knows more than Redis and no client does, ringshift migration confirm decides.",
      );
    }
    await session.clock.sleep(CONFIRM_POLL_MS);
  }
}

/**
 * Until the settling has ended, over any fail-over of Redis; at once where keys have two owners. Answers the confirmed view that follows.
 * @throws RingshiftError UNCONFIRMED, REDIS_UNREACHABLE
 */
export async function awaitSettled(session: Session, report: OnProgress): Promise<View> {
  for (;;) {
    await awaitConfirmed(session, report);
    await settle(session, () => report({ step: "settling" }));
    const view = await session.look();
    const { phase, settling } = view.document;
    if (view.confirmed && !(phase === "S" && settling)) return view; // `settle` may have met one that was not confirmed yet
  }
}

/** A confirmed, settled S, waited for. @throws RingshiftError MIGRATION_RUNNING, UNCONFIRMED, REDIS_UNREACHABLE */
export async function settledView(session: Session, report: OnProgress): Promise<View> {
  const view = await awaitSettled(session, report);
  requireStable(view.document);
  return view;
}

/** @throws RingshiftError MIGRATION_RUNNING while keys have two owners */
export function requireStable(document: TopologyDocument): void {
  if (document.phase === "S") return;
  throw new RingshiftError(
    "MIGRATION_RUNNING",
    `Another change (${document.operation?.command}) is under way (phase ${document.phase}): see ringshift migration status, then run this again.`,
  );
}

/**
 * Does a step under the view of the moment, again and again while rule V sends it back.
 * @throws RingshiftError MIGRATION_RUNNING when a change of the ring has begun, or what kept the step from its end
 */
export async function persist<T>(
  session: Session,
  step: (view: View) => Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = session.clock.now() + patienceMs;
  for (;;) {
    const view = session.enter();
    let cause: unknown;
    try {
      requireStable(view.document);
      return await step(view);
    } catch (error) {
      if (!(error instanceof Retry)) throw error;
      cause = error.cause;
    } finally {
      session.leave(view);
    }
    if (session.clock.now() > deadline) {
      if (cause instanceof RingshiftError) throw cause;
      throw new RingshiftError("NODE_DOWN", "A server does not show its fence: see ringshift status.", { cause });
    }
    await session.clock.sleep(RETRY_MS);
    await session.refresh();
  }
}
