/** How long a copier bears with a server, and the errors that it ends with. */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { Retry, Unstorable } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import type { View } from "../protocol/view.ts";
import type { NodeRecord } from "../topology/document.ts";

/** A step that has made no progress for this long stops the copier. */
const PATIENCE_MS = 15_000;
const RETRY_MS = 10;

/** Another process has moved the document on: the copier has nothing left to do under this view. */
export class ViewEnded extends Error {}

/**
 * Repeats what rule V sends back, while the document is the same and the servers answer now and then.
 * @param node is to blame where a failure names no server
 * @throws ViewEnded; RingshiftError WOULD_NOT_FIT, MIGRATION_STOPPED
 */
export async function patiently<T>(
  session: Session,
  view: View,
  node: NodeRecord,
  signal: AbortSignal | undefined,
  step: () => Promise<T>,
): Promise<T> {
  const deadline = session.clock.now() + PATIENCE_MS;
  const entered = session.enter();
  try {
    for (;;) {
      if (signal?.aborted) throw stopped("interrupted");
      if (session.view.document.id !== view.document.id) throw new ViewEnded();
      try {
        return await step();
      } catch (error) {
        if (error instanceof Unstorable) throw wouldNotFit(error);
        if (!(error instanceof Retry)) throw error;
        if (session.clock.now() > deadline) {
          if (!session.isFresh(view)) throw stopped(REDIS_SILENT, error.cause);
          const silent = (isRingshiftError(error.cause) && error.cause.node) || node.name;
          throw stopped(silence(silent), error.cause, silent);
        }
      }
      await session.clock.sleep(RETRY_MS);
      await session.refresh();
    }
  } finally {
    session.leave(entered);
  }
}

/** @param node the name of the server that is to blame */
export function stopped(why: string, cause?: unknown, node?: string): RingshiftError {
  return new RingshiftError(
    "MIGRATION_STOPPED",
    `The migration stopped: ${why}. Reads and writes go on; the same command resumes it.`,
    { cause, node },
  );
}

const REDIS_SILENT = "Redis does not answer, and keys are not moved without it";

function silence(name: string): string {
  return `${name} does not answer (should it be gone for good: ringshift migration abandon ${name})`;
}

function wouldNotFit(error: Unstorable): RingshiftError {
  return new RingshiftError(
    "WOULD_NOT_FIT",
    `${error.node} cannot store a value of this migration (${error.message}): give it more memory or a larger item size (memcached -m, -I), then run the same command again; or put the ring back with ringshift migration abort.`,
    { node: error.node, key: error.key, cause: error },
  );
}
