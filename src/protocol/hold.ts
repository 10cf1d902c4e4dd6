/** Rule F, step 2: writes on moving keys wait for D; whoever has waited too long carries on in the coordinator's place. */
import { isRingshiftError } from "../errors.ts";
import { arm, CARRY_ON_MS } from "./arm.ts";
import type { Session } from "./session.ts";
import type { View } from "./view.ts";

const holds = new WeakMap<View, Promise<void>>();

/** Resolves when another view has taken this one's place, or after one try to make it so. */
export function hold(session: Session, view: View): Promise<void> {
  let held = holds.get(view);
  if (held === undefined) {
    held = wait(session, view).finally(() => holds.delete(view));
    holds.set(view, held);
  }
  return held;
}

async function wait(session: Session, view: View): Promise<void> {
  let superseded = false;
  const next = view.superseded.then(() => {
    superseded = true;
  });
  await Promise.race([next, session.clock.sleep(CARRY_ON_MS)]);
  if (superseded) return;
  try {
    const present = await session.look();
    if (present.document.id === view.document.id) await arm(session, present);
  } catch (error) {
    if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
  }
}
