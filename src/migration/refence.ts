/**
 * A change of the document that changes no ring but that no client may miss: a new generation of the index, a server whose part of the index
 * is about to be trusted again. It goes through F like a migration, and the fences of the servers concerned are raised:
 *
 *   S ── F (same nodes, new numbers, the change) ── raise ── S (settling) ── acknowledged ── S
 *
 * From the last raise on nothing is accepted that was sent by somebody who does not know of the change: not even from a client that is cut
 * off from Redis and still remembers which keys it has recorded. No key is moving, so no operation waits.
 */
import { RingshiftError } from "../errors.ts";
import { arm, waitForDrain } from "../protocol/arm.ts";
import { plant } from "../protocol/plant.ts";
import type { Session } from "../protocol/session.ts";
import type { View } from "../protocol/view.ts";
import { type NodeRecord, newFenceNumber, successor, type TopologyDocument } from "../topology/document.ts";
import type { TopologyStore } from "../topology/store.ts";
import type { OnProgress } from "./progress.ts";
import { awaitConfirmed, awaitSettled, settledView } from "./ready.ts";
import { standingFence } from "./standing-fence.ts";

const TRIES = 50;
const POLL_MS = 20;

export interface Refencing {
  /** The command in words, as status shows it. */
  readonly command: string;
  readonly nodes: (document: TopologyDocument) => readonly NodeRecord[];
  readonly changes: (
    document: TopologyDocument,
  ) => Partial<Pick<TopologyDocument, "generation" | "sweeping" | "untrusted">>;
}

/**
 * Publishes the changes and raises the fences; answers the settled view that follows.
 * @throws RingshiftError MIGRATION_RUNNING; NODE_DOWN when a server does not take its number: the changes may stand, so run it again
 */
export async function refence(
  session: Session,
  store: TopologyStore,
  { command, nodes, changes }: Refencing,
  report: OnProgress,
): Promise<View> {
  const { document } = await settledView(session, report);
  const concerned = nodes(document);
  await requireFences(session, document, concerned);
  const { clock } = session;
  const number = newFenceNumber(document, clock.random());
  const fences = { ...document.fences };
  for (const node of concerned) fences[node.name] = number;
  const next = successor(document, document.runId, {
    ...changes(document),
    phase: "F",
    previousNodes: document.nodes,
    fences,
    operation: { id: clock.randomId(), command, startedAt: new Date(clock.epochSeconds() * 1000).toISOString() },
  });
  if ((await store.publish(document.id, next, next.runId)) !== "published") {
    throw new RingshiftError("MIGRATION_RUNNING", `The topology changed meanwhile: run ringshift ${command} again.`);
  }
  await session.look();
  await waitForDrain(session, next.epoch);
  for (let i = 0; i < TRIES && session.view.document.phase === "F"; i++) {
    await awaitConfirmed(session, report);
    const outcome = await arm(session, await session.look());
    if (outcome === "waiting" || outcome === "elsewhere") await clock.sleep(POLL_MS);
  }
  await awaitSettled(session, report);
  await requireFences(session, session.view.document, concerned);
  return session.view;
}

/** The servers show the document's numbers; fences that are missing or lower are planted. @throws RingshiftError NODE_DOWN */
async function requireFences(
  session: Session,
  document: TopologyDocument,
  nodes: readonly NodeRecord[],
): Promise<void> {
  for (const node of nodes) {
    for (let i = 0; ; i++) {
      const fence = await standingFence(session.transport, session.namespace, node);
      if (fence?.number === document.fences[node.name]) break;
      if (i === TRIES) throw lacking(node);
      await plant(session, node).catch(() => false);
      await session.clock.sleep(POLL_MS);
    }
  }
}

function lacking(node: NodeRecord): RingshiftError {
  return new RingshiftError(
    "NODE_DOWN",
    `${node.name} at ${node.address} does not show its fence: see ringshift status, then run the command again.`,
    { node: node.name },
  );
}
