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

/** Afterwards the key is at its new owner, or nowhere; the old one may still have what was pulled from it. For rule R alone. @throws Retry */
export function pullForRead(session: Session, route: Route): Promise<void> {
  return session.pulls.get(route.key) ?? pullOnce(session, route, true);
}

async function pullOnce(session: Session, route: Route, forRead = false): Promise<void> {
  const options = { unstorable: "drop", forRead } as const;
  const [result] = await pull(session, route.view, route.source!, route.node, [route], options);
  if (!forRead || result !== "present") route.view.rememberMoved(route.key);
}
