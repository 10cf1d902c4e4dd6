/**
 * `migration confirm`: a fence is newer than what Redis knows, and nobody alive holds the document that raised it. A migration that Redis has
 * forgotten may have moved keys there or away, so what such a server holds of ours cannot be told from what was deleted elsewhere.
 *
 *   wait for the living ── delete our keys where the fence is newer or missing ── publish with an epoch above all fences ── raise them
 *
 * That counts as eviction. All other servers keep what they hold.
 */
import { RingshiftError } from "../errors.ts";
import { type Fences, readFences } from "../protocol/confirm.ts";
import { deleteOurKeys } from "../protocol/our-keys.ts";
import { plant } from "../protocol/plant.ts";
import type { Session } from "../protocol/session.ts";
import { HOLD_OFF_MS } from "../protocol/settle.ts";
import type { View } from "../protocol/view.ts";
import { confirmedAgain, type NodeRecord, type TopologyDocument } from "../topology/document.ts";
import { REGISTRATION_MS, type TopologyStore } from "../topology/store.ts";
import type { OnProgress } from "./progress.ts";
import { awaitConfirmed } from "./ready.ts";

const POLL_MS = 100;
/** Forgotten documents have higher epochs than the fences they raised: whoever comes back with one is to find a newer one here. */
const EPOCH_MARGIN = 1_000;
const RAISE_TRIES = 50;

export interface RecoveryReport {
  readonly epoch: number;
  /** Servers whose keys were deleted, and how many. Empty when the document could be confirmed without. */
  readonly emptied: readonly { readonly node: string; readonly keys: number }[];
}

/** @throws RingshiftError NODE_DOWN when a server concerned does not answer; INVALID_OPTION when there is nothing to confirm */
export async function recover(session: Session, store: TopologyStore, report: OnProgress): Promise<RecoveryReport> {
  const first = await session.look();
  if (first.confirmed && (await readFences(session, first.document)).newer.length === 0) {
    throw new RingshiftError("INVALID_OPTION", "The topology is confirmed and no server knows more than Redis.");
  }
  const { view, fences } = await waitForTheLiving(session, store, report);
  if (fences.newer.length === 0) {
    await awaitConfirmed(session, report);
    return { epoch: session.view.document.epoch, emptied: [] };
  }
  const suspects = [...fences.newer, ...fences.lost];
  const emptied: { node: string; keys: number }[] = [];
  for (const node of suspects) {
    report({ step: "dumping", node: node.name });
    emptied.push({ node: node.name, keys: await deleteOurKeys(session, node) });
  }
  const next = above(view, fences, suspects);
  if ((await store.publish(view.document.id, next, next.runId)) !== "published") {
    throw new RingshiftError(
      "UNCONFIRMED",
      "The topology changed meanwhile: see ringshift status, then run this again.",
    );
  }
  await session.look();
  for (const node of suspects) await raise(session, node);
  return { epoch: next.epoch, emptied };
}

/** A document that somebody alive holds is put back within its heartbeats: then it is the one to go by. */
async function waitForTheLiving(session: Session, store: TopologyStore, report: OnProgress) {
  report({ step: "waiting", reason: "somebody may hold a newer topology" });
  const began = session.clock.now();
  for (;;) {
    await session.clock.sleep(POLL_MS);
    const view = await session.look();
    const fences = await readFences(session, view.document);
    if (fences.newer.length === 0) return { view, fences };
    const waited = session.clock.now() - began;
    const late = await store.unacknowledged(view.document.epoch);
    if (waited > HOLD_OFF_MS || (waited > REGISTRATION_MS && late.length === 0)) return { view, fences };
  }
}

function above({ document, redisRunId }: View, { highest }: Fences, suspects: readonly NodeRecord[]): TopologyDocument {
  const epoch = Math.max(highest, document.epoch) + EPOCH_MARGIN;
  const fences = { ...document.fences };
  for (const node of suspects) fences[node.name] = epoch;
  return confirmedAgain(document, redisRunId, { epoch, fences });
}

async function raise(session: Session, node: NodeRecord): Promise<void> {
  for (let i = 0; i < RAISE_TRIES; i++) {
    if (await plant(session, node).catch(() => false)) return;
    await session.clock.sleep(POLL_MS);
  }
  throw new RingshiftError(
    "NODE_DOWN",
    `${node.name} does not take its fence: any client does it when the server answers.`,
    {
      node: node.name,
    },
  );
}
