/** Rule P as a client does it: one key, and one pull per key and process. */
import { pull } from "./pull.ts";
import type { Session } from "./session.ts";
import type { Route } from "./view.ts";

/** Afterwards nothing of the key is left at its old owner. @throws Retry */
export async function pullOne(session: Session, route: Route): Promise<void> {
  const present = session.pulls.get(route.key);
  if (present !== undefined) return present;
  const mine = pullOnce(session, route).finally(() => session.pulls.delete(route.key));
  session.pulls.set(route.key, mine);
  return mine;
}

async function pullOnce(session: Session, route: Route): Promise<void> {
  await pull(session, route.view, route.source!, route.node, [route], { unstorable: "drop" });
  route.view.rememberMoved(route.key);
}
