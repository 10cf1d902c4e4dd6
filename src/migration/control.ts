/**
 * `migration pause` and `resume`: a wish in Redis that the copiers of every process look for several times a second. It names the operation,
 * so one that is left behind holds nobody up. While copiers stand still, clients still pull what they touch.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Clock } from "../protocol/clock.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type { Control, OperatorStore } from "../topology/store.ts";
import { isAborting } from "./abort.ts";
import type { OnProgress } from "./progress.ts";

/** A wish is obeyed within this, and a batch. */
const LOOK_MS = 200;

export interface ObedienceParts {
  readonly store: Pick<OperatorStore, "readControl">;
  readonly clock: Clock;
  readonly report: OnProgress;
  readonly signal?: AbortSignal | undefined;
  /** Aborted when the handle that works on the operation is closed. */
  readonly closed?: AbortSignal | undefined;
}

/** What a copier asks before each batch. */
export class Obedience {
  readonly #parts: ObedienceParts;
  #control: Control | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #told = false;

  constructor(parts: ObedienceParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the copier may go on with the operation.
   * @throws RingshiftError MIGRATION_STOPPED when it is to stop
   */
  async obey(operation: string): Promise<void> {
    const { clock, report, signal, closed } = this.#parts;
    for (;;) {
      await this.#look();
      const control = this.#control;
      if (control?.abort?.operation === operation) throw stopped("it is being aborted");
      const paused = control?.operation === operation && control.paused;
      if (paused && !this.#told) report({ step: "waiting", reason: "paused (ringshift migration resume)" });
      this.#told = paused;
      if (!paused) return;
      if (signal?.aborted) throw stopped("interrupted while paused");
      if (closed?.aborted) throw stopped("its handle was closed while it was paused");
      await clock.sleep(LOOK_MS);
    }
  }

  async #look(): Promise<void> {
    const { clock, store } = this.#parts;
    if (clock.now() - this.#lookedAt < LOOK_MS) return;
    this.#looking ??= store
      .readControl()
      .then((control) => {
        this.#control = control;
        this.#lookedAt = clock.now();
      })
      .catch((error: unknown) => {
        if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error; // the copier finds out by itself
      })
      .finally(() => {
        this.#looking = undefined;
      });
    await this.#looking;
  }
}

/** The copiers of the change under way stop at their next batch. A wish to abort it stands, also on the way back. @throws RingshiftError INVALID_OPTION when none is under way */
export async function pause(store: OperatorStore, document: TopologyDocument): Promise<void> {
  const { operation, phase } = document;
  if (operation === null || phase === "S") {
    throw new RingshiftError("INVALID_OPTION", "No change is under way, so there is nothing to pause.");
  }
  const standing = await store.readControl();
  const abort = isAborting(standing, document) ? standing?.abort : undefined;
  await store.writeControl({ operation: operation.id, paused: true, ...(abort === undefined ? {} : { abort }) });
}

/** They go on. What else is wished for stands. */
export async function unpause(store: OperatorStore): Promise<void> {
  const standing = await store.readControl();
  if (standing === undefined) return;
  await store.writeControl(standing.abort === undefined ? undefined : { ...standing, paused: false });
}

function stopped(why: string): RingshiftError {
  return new RingshiftError("MIGRATION_STOPPED", `The migration stopped: ${why}. Reads and writes go on.`);
}
