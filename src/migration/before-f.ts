/** What has to hold right before F is published: rule G, and F step 1 (docs/protocol.md). */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { involved } from "../protocol/arm.ts";
import { Retry } from "../protocol/outcome.ts";
import { plant } from "../protocol/plant.ts";
import type { Session } from "../protocol/session.ts";
import { prepareRings, View } from "../protocol/view.ts";
import type { NodeRecord, TopologyDocument } from "../topology/document.ts";
import { purge } from "./purge.ts";
import { CONFIRM_PATIENCE_MS } from "./ready.ts";
import { standingFence } from "./standing-fence.ts";

const RETRY_MS = 20;

/** G, and F step 1: every losing and gaining server answers with the document's fence. Answers their names. */
export async function purgeAndCheck(
  session: Session,
  document: TopologyDocument,
  nodes: readonly NodeRecord[],
  joining: ReadonlySet<string>,
): Promise<string[]> {
  const patience = session.clock.now() + CONFIRM_PATIENCE_MS / 10;
  for (;;) {
    const view = await session.look();
    if (view.document.id !== document.id) throw overtaken(); // what is no stray any more must not be purged
    await prepareRings(document, nodes);
    const probe = new View({ ...document, phase: "F", nodes, previousNodes: document.nodes }, view.redisRunId, 0);
    const lacking = await lackingFence(session, view, involved(probe), joining);
    if (lacking === undefined) {
      try {
        await purge({ session, view, diff: probe.diff!, nodes, empty: joining, dead: document.dead ?? [] });
        return involved(probe).map((node) => node.name);
      } catch (error) {
        if (!(error instanceof Retry)) throw error;
      }
    }
    if (session.clock.now() > patience) throw silent(lacking, document.dead ?? []);
    await session.clock.sleep(RETRY_MS);
  }
}

/** The first server that does not show the document's fence; those that lack it are planted. */
async function lackingFence(session: Session, view: View, nodes: readonly NodeRecord[], joining: ReadonlySet<string>) {
  for (const node of nodes) {
    if (joining.has(node.name)) continue;
    try {
      const fence = await standingFence(session.transport, session.namespace, node);
      if (fence?.number === view.document.fences[node.name]) continue;
      if (await plant(session, node)) continue;
    } catch (error) {
      if (isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
    }
    return node;
  }
  return undefined;
}

/** Another process has changed the topology since this one looked. */
export function overtaken(): RingshiftError {
  return new RingshiftError(
    "MIGRATION_RUNNING",
    "The topology changed while this change was being prepared: run the command again.",
  );
}

function silent(node: NodeRecord | undefined, dead: readonly string[]): RingshiftError {
  const names = [...dead, node?.name ?? "NAME"].join(" ");
  const together = dead.length > 0 ? " (servers that are dead together are taken out together)" : "";
  return new RingshiftError(
    "NODE_DOWN",
    `${node?.name ?? "A server"} at ${node?.address ?? "?"} does not answer: a change needs every server that loses or gains keys. One that is gone for good: ringshift remove-node --dead ${names}${together}`,
    { node: node?.name },
  );
}
