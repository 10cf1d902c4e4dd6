/** After D → S: the sets of the old points lose the entries of keys that have other points now. */
import type { Session } from "../protocol/session.ts";
import type { View } from "../protocol/view.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type { ChangeStore, PointEntries } from "../topology/store.ts";
import { entriesOf, generationsOf } from "./entries.ts";
import { inParallel, SETS_AT_ONCE } from "./in-parallel.ts";
import { arcsByPoint } from "./plan.ts";

const TRIES = 50;

/** Nothing where a later change has begun: it may have listed the keys there again. @throws RingshiftError REDIS_UNREACHABLE */
export async function clean(session: Session, store: ChangeStore, view: View): Promise<void> {
  if (view.diff === undefined) return; // no ring changed, or another migration has
  let latest = true;
  await inParallel(arcsByPoint(view.diff).keys(), SETS_AT_ONCE, async (point) => {
    for await (const page of entriesOf(store, view.document, point)) {
      const keys = page.filter((key) => {
        const arc = view.diff!.find(view.hashOf(key));
        return arc !== undefined && arc.fromPoint === point && arc.toPoint !== point;
      });
      if (!latest) return;
      if (keys.length > 0 && !(await remove(session, store, view.document, { point, keys }))) latest = false;
    }
  });
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
    if (present.phase !== "S" || present.migrations !== document.migrations) return false;
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
