/**
 * `sweep`: the index gets a new generation with the live keys alone.
 *
 *   S gen g ── F (gen g+1, sweeping g; every fence raised) ── S ── each entry of g:
 *                  live at its owner          ─► g+1
 *                  dead                       ─► strays of it at all other nodes go, then it is forgotten
 *            ── S (sweeping nothing) ── sets of g unlinked
 *
 * From F on clients record in g+1 and everything anew, and nothing is accepted from one that does not know of it. So a key written before the
 * last fence was raised is found live by the look, and one written after it has listed itself. Migrations read both generations meanwhile;
 * a sweep that died is carried on by the next one, from F.
 */
import { RingshiftError } from "../errors.ts";
import { metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import { MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import { type NodeRecord, successor, type TopologyDocument } from "../topology/document.ts";
import type { IndexSet, OperatorStore } from "../topology/store.ts";
import { inParallel, SETS_AT_ONCE } from "./in-parallel.ts";
import type { OnProgress } from "./progress.ts";
import { purgeKeys } from "./purge.ts";
import { persist, requireStable } from "./ready.ts";
import { refence } from "./refence.ts";
import { record } from "./reindex.ts";

const TRIES = 50;

export interface SweepReport {
  /** The index' generation now. */
  readonly generation: number;
  /** Entries of the former generation. */
  readonly entries: number;
  /** Keys that were kept. */
  readonly live: number;
  /** Entries of expired, deleted and evicted keys. */
  readonly dropped: number;
  /** Values under dropped entries that stood on a node that does not own them. */
  readonly strays: number;
  readonly seconds: number;
}

/**
 * The caller holds the lease. Reads and writes go on.
 * @throws RingshiftError MIGRATION_RUNNING; NODE_DOWN when a server does not answer: every one has to. The same call carries on
 */
export async function sweep(session: Session, store: OperatorStore, report: OnProgress): Promise<SweepReport> {
  const began = session.clock.now();
  const { document } = await refence(
    session,
    store,
    {
      command: "sweep",
      nodes: ({ nodes }) => nodes,
      changes: ({ generation, sweeping }) => {
        const resumed = sweeping !== undefined && sweeping !== null;
        return resumed ? { generation, sweeping } : { generation: generation + 1, sweeping: generation };
      },
    },
    report,
  );
  const totals = { entries: 0, live: 0, dropped: 0, strays: 0 };
  const former = document.sweeping!;
  report({ step: "cleaning" });
  await inParallel(setsOf(store, former), SETS_AT_ONCE, async ({ point }) => {
    for await (const page of store.entries(former, point)) {
      requireSameRing(session, document);
      const found = await sweepPage(session, store, page);
      totals.entries += page.length;
      totals.live += found.live;
      totals.dropped += page.length - found.live;
      totals.strays += found.strays;
    }
  });
  await end(session, store, document, former);
  await unlinkBelow(store, document.generation);
  return { generation: document.generation, ...totals, seconds: (session.clock.now() - began) / 1000 };
}

/** What was found dead or live was found at the owners of this ring. @throws RingshiftError MIGRATION_RUNNING */
function requireSameRing(session: Session, began: TopologyDocument): void {
  if (session.view.document.migrations === began.migrations) return;
  throw new RingshiftError("MIGRATION_RUNNING", "The ring changed during the sweep: run ringshift sweep again.");
}

async function* setsOf(store: OperatorStore, generation: number): AsyncIterable<IndexSet> {
  const seen = new Set<number>();
  for await (const sets of store.sets()) {
    for (const set of sets) {
      if (set.generation !== generation || seen.has(set.point)) continue;
      seen.add(set.point);
      yield set;
    }
  }
}

async function sweepPage(session: Session, store: OperatorStore, page: readonly string[]) {
  const { view } = session;
  const byOwner = new Map<NodeRecord, string[]>();
  for (const key of page) {
    const owner = view.owner(view.hashOf(key));
    byOwner.set(owner, [...(byOwner.get(owner) ?? []), key]);
  }
  let [live, strays] = [0, 0];
  for (const [owner, keys] of byOwner) {
    for (let from = 0; from < keys.length; from += MAX_EXCHANGE_COMMANDS) {
      const part = keys.slice(from, from + MAX_EXCHANGE_COMMANDS);
      const alive = await areLive(session, owner, part);
      const kept = part.filter((_, i) => alive[i]);
      await record(session, store, kept);
      live += kept.length;
      const dead = part.filter((_, i) => !alive[i]);
      for (const node of view.document.nodes) {
        if (node.index === owner.index || dead.length === 0) continue;
        strays += await persist(session, (present) => purgeKeys(session, present, node, dead));
      }
    }
  }
  return { live, strays };
}

/** Whether each key has a value at the node, by one flush under a fence check. @throws RingshiftError */
export function areLive(session: Session, node: NodeRecord, keys: readonly string[]): Promise<boolean[]> {
  return persist(session, async (view) => {
    const looked = await ask(
      session,
      view,
      node,
      keys.map((key) => metaGet(key, "f")),
    );
    await requireFence(session, view, node, looked);
    return looked.replies.map((reply) => reply.status !== "EN" && reply.flags !== PLACEHOLDER_FLAGS);
  });
}

/** The former generation is not read any more. */
async function end(session: Session, store: OperatorStore, began: TopologyDocument, former: number): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    const { document } = await session.look();
    requireStable(document);
    requireSameRing(session, began);
    if (document.sweeping !== former) return;
    const next = successor(document, document.runId, { sweeping: null });
    if ((await store.publish(document.id, next, document.runId)) === "published") {
      await session.look();
      return;
    }
  }
  throw new RingshiftError("MIGRATION_RUNNING", "The topology keeps changing: run ringshift sweep again.");
}

/** Also what a sweep that died before this has left. */
async function unlinkBelow(store: OperatorStore, generation: number): Promise<void> {
  for await (const sets of store.sets()) await store.unlinkSets(sets.filter((set) => set.generation < generation));
}
