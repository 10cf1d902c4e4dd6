/**
 * What a cluster needs without an operator at hand; any client does it, at each heartbeat, and several at once do no harm:
 *
 *   F for too long          carry on to D (arm.ts)
 *   settling, nobody left   end it
 *   unconfirmed document    confirm it when Redis' fail-over has provably lost nothing newer (confirm.ts)
 */
import { isRingshiftError } from "../errors.ts";
import type { ChangeStore } from "../topology/store.ts";
import { confirm } from "./confirm.ts";
import { hold } from "./hold.ts";
import type { Session } from "./session.ts";
import { settleOnce } from "./settle.ts";

/** Never rejects for want of an answer, Redis' or a server's. A document of an unknown version is the session's refusal from then on. */
export async function caretake(session: Session, store: ChangeStore): Promise<void> {
  const { view } = session;
  try {
    if (!view.confirmed) return await confirm(session);
    if (view.document.phase === "F") return await hold(session, view);
    if (view.document.phase === "S" && view.document.settling && (await store.leaseHolder()) === null) {
      await settleOnce(session);
    }
  } catch (error) {
    if (isRingshiftError(error, "UNSUPPORTED_DOCUMENT")) session.refuse(error);
    else if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
  }
}
