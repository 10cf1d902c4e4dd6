/** A sign of life to Redis: what this process has acknowledged (rule T), answered by the present document. */
import { isRingshiftError } from "../errors.ts";
import type { Session } from "./session.ts";

/** Never rejects for want of an answer. What forbids the session to go on (a document of an unknown version) is its refusal from then on. */
export async function heartbeat(session: Session, clientId: string): Promise<void> {
  const askedAt = session.clock.now();
  const registration = { clientId, acknowledged: session.acknowledged };
  try {
    const seen = await session.store.heartbeat(registration, session.view.document.id);
    await session.observe(seen.document, seen.runId, askedAt);
  } catch (error) {
    if (!isRingshiftError(error)) throw error;
    if (error.code === "REDIS_UNREACHABLE") session.redisFailed(askedAt);
    else session.refuse(error);
  }
}
