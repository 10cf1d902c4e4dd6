/**
 * When a change has settled: what has come to the old owners since the copier's pulls is deleted, and the sets of the old points lose the entries of
 * keys that have other points now. Not earlier: a straggler's key would be in no set any more when its write arrives (rule G).
 */
import { Retry } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import type { View } from "../protocol/view.ts";
import { nodeByName, type TopologyDocument } from "../topology/document.ts";
import type { ChangeStore, PointEntries } from "../topology/store.ts";
import { entriesOf, generationsOf } from "./entries.ts";
import { inParallel, SETS_AT_ONCE } from "./in-parallel.ts";
import { addTo, MovingKeys } from "./moving-keys.ts";
import { arcsByPoint } from "./plan.ts";
import { purgeKeys } from "./purge.ts";

const TRIES = 50;
/** To look at an old owner; it may be away, and then the entries of its keys stay. */
const LOOKS = 3;

/** Nothing where a later change has begun: it may have listed the keys there again. @throws RingshiftError REDIS_UNREACHABLE */
export async function clean(session: Session, store: ChangeStore, view: View): Promise<void> {
  if (view.diff === undefined) return; // no ring changed, or another migration has
  const points = arcsByPoint(view.diff);
  const moved = new MovingKeys(view, points);
  let latest = true;
  const away = new Set<string>();
  await inParallel(points.keys(), SETS_AT_ONCE, async (point) => {
    for await (const page of entriesOf(store, view.document, point)) {
      const { keys, bySource } = leftPoint(moved, point, page);
      if (!latest) return;
      if (keys.length === 0 || !(await withoutStrays(session, view, bySource, away))) continue;
      if (!(await remove(session, store, view.document, { point, keys }))) latest = false;
    }
  });
}

/** Those of the page's keys that have another point now, and of them those that have another owner, by the name of the old one. */
function leftPoint(moved: MovingKeys, point: number, page: readonly string[]) {
  const staying = new Map<number, string[]>();
  const keys: string[] = [];
  const bySource = new Map<string, string[]>();
  for (const left of moved.of(point, page, { open: 0, moved: 0, arrived: undefined }, staying)) {
    if (left.point === point) continue;
    keys.push(left.key);
    addTo(bySource, left.source.name, left.key);
  }
  for (const [other, listed] of staying) if (other !== point) for (const key of listed) keys.push(key);
  return { keys, bySource };
}

/**
 * Deletes what stands under the keys at their old owners. False: one of them does not answer, or a later change has begun.
 * @param away by name: old owners that have not answered; they are not asked again
 */
async function withoutStrays(
  session: Session,
  view: View,
  bySource: ReadonlyMap<string, readonly string[]>,
  away: Set<string>,
): Promise<boolean> {
  for (const [name, keys] of bySource) {
    if (away.has(name)) return false;
    const outcome = await purgeAt(session, view, name, keys);
    if (outcome === "away") away.add(name);
    if (outcome !== "done") return false;
  }
  return true;
}

async function purgeAt(session: Session, view: View, name: string, keys: readonly string[]) {
  for (let i = 0; i < LOOKS; i++) {
    const present = await session.look();
    if (!isLatest(present.document, view.document)) return "overtaken";
    const node = nodeByName(present.document, name);
    if (node === undefined) return "done"; // it has left the ring, and has to be empty before it may join again
    try {
      await purgeKeys(session, present, node, keys);
      return "done";
    } catch (error) {
      if (!(error instanceof Retry)) throw error;
    }
  }
  return "away";
}

function isLatest(present: TopologyDocument, { migrations }: TopologyDocument): boolean {
  return present.phase === "S" && present.migrations === migrations;
}

/** Removes entries while this migration is the latest: a later one may have listed the keys here again. */
async function remove(
  session: Session,
  store: ChangeStore,
  document: TopologyDocument,
  entries: PointEntries,
): Promise<boolean> {
  for (let i = 0; i < TRIES; i++) {
    const { document: present } = await session.look();
    if (!isLatest(present, document)) return false;
    if (await removeFrom(store, present.id, generationsOf(document), entries)) return true;
  }
  return false;
}

async function removeFrom(
  store: ChangeStore,
  id: string,
  generations: readonly number[],
  entries: PointEntries,
): Promise<boolean> {
  for (const generation of generations) {
    if (!(await store.removeEntries(id, generation, [entries]))) return false;
  }
  return true;
}
