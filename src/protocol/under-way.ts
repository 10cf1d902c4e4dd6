/** What a session has under way under views that it has left, and what that may still do: the epochs it can acknowledge (rule T). */
import type { Clock } from "./clock.ts";
import type { View } from "./view.ts";

export class UnderWay {
  readonly #clock: Clock;
  /** Called when the session may acknowledge more. */
  readonly #onDrained: () => void;
  /** Views under which attempts are still under way, the one left first before the others, and the epoch that can be acknowledged meanwhile. */
  readonly #draining = new Map<View, number>();
  /** Until when (ms) what operations of an epoch have left on servers or on the wire may still act. */
  readonly #lingering = new Map<number, number>();

  constructor(clock: Clock, onDrained: () => void) {
    this.#clock = clock;
    this.#onDrained = onDrained;
  }

  /** The session has another view. @param acknowledged the epoch that can be acknowledged until what is under way has ended */
  left(view: View, acknowledged: number): void {
    if (view.inFlight > 0) this.#draining.set(view, acknowledged);
  }

  /** Nothing that began under this view is under way any more. */
  ended(view: View): void {
    if (!this.#draining.delete(view)) return;
    this.#onDrained();
  }

  linger(view: View, ms: number): void {
    this.#lingerUntil(this.#draining.get(view) ?? view.document.epoch, this.#clock.now() + ms);
  }

  /** The newest epoch up to `epoch` such that nothing that began under an older one is under way or may still act. */
  acknowledged(epoch: number): number {
    let acknowledged = epoch;
    for (const before of this.#draining.values()) acknowledged = Math.min(acknowledged, before);
    const now = this.#clock.now();
    for (const [left, until] of this.#lingering) {
      if (until > now) acknowledged = Math.min(acknowledged, left);
      else this.#lingering.delete(left);
    }
    return acknowledged;
  }

  /** Everything that is under way, or still may act, is of epochs that are void: no later one than `epoch` is acknowledged until it has ended. */
  hold(epoch: number): void {
    for (const view of this.#draining.keys()) this.#draining.set(view, epoch);
    for (const until of [...this.#lingering.values()]) this.#lingerUntil(epoch, until);
  }

  #lingerUntil(epoch: number, until: number): void {
    this.#lingering.set(epoch, Math.max(this.#lingering.get(epoch) ?? 0, until));
  }
}
