/**
 * Looks at a source again and again, and says when it differs from the cluster. With `apply` a difference that stands is carried out: one
 * that two looks in a row have shown, since a source may answer half of its servers once.
 *
 *   every interval ─► find ─► difference ─┬─ none, or said before ─► nothing
 *                                         ├─ new ─► event "differs"
 *                                         └─ seen twice, autoApply ─► apply ─► event "applied", or "failed" and again next time
 */
import { isRingshiftError, type RingshiftError } from "../errors.ts";
import type { Change, NewNode } from "../migration/change.ts";
import type { NodeRecord } from "../topology/document.ts";
import { changesOf, type Difference, differenceOf } from "./difference.ts";
import type { DiscoverySource } from "./source.ts";

export interface DiscoveryEvent {
  /** As it was given: `dns:cache.example:11211`. */
  readonly source: string;
  /**
   * `differs`: the source names other servers than the cluster has, and nothing was done. `applied`: the cluster has them now. `failed`: the
   * source could not be read, or a change not be made.
   */
  readonly state: "differs" | "applied" | "failed";
  /** Addresses that are named, and not in the cluster. */
  readonly add: readonly string[];
  /** Nodes of the cluster that are not named. */
  readonly remove: readonly string[];
  /** Nodes that are to have another weight. */
  readonly reweigh: readonly string[];
  /** Of `failed`. */
  readonly error?: RingshiftError | undefined;
}

export interface WatchOptions {
  readonly source: DiscoverySource;
  readonly intervalMs: number;
  readonly nodes: () => readonly NodeRecord[];
  /** Undefined: differences are only said. @throws RingshiftError */
  readonly apply?: ((changes: readonly Change[]) => Promise<void>) | undefined;
}

const NOTHING: Difference = { add: [], remove: [], reweigh: [] };

export class DiscoveryWatch {
  readonly #options: WatchOptions;
  #onEvent: (event: DiscoveryEvent) => void = () => {};
  /** What was last said, and what the last look has shown. */
  #said = "";
  #seen = "";
  #timer: NodeJS.Timeout | undefined;
  #applying: Promise<void> | undefined;
  #stopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Looks now, and from now on. */
  start(onEvent: (event: DiscoveryEvent) => void): void {
    this.#onEvent = onEvent;
    this.#next(0);
  }

  /** Resolves when no change is under way any more. A look is not waited for: what it finds is not said. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#applying?.catch(() => {});
  }

  #next(afterMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      void this.look().then(() => this.#next(this.#options.intervalMs));
    }, afterMs);
    this.#timer.unref();
  }

  /** One look. Never rejects. */
  async look(): Promise<void> {
    const { source, nodes, apply } = this.#options;
    let difference = NOTHING;
    try {
      const found: readonly NewNode[] = await source.find();
      difference = differenceOf(found, nodes());
      const changes = changesOf(difference);
      const text = JSON.stringify(changes);
      const standing = text === this.#seen;
      this.#seen = text;
      if (changes.length === 0) {
        this.#said = "";
      } else if (apply === undefined || !standing) {
        this.#say("differs", difference);
      } else if (!this.#stopped) {
        this.#applying = apply(changes);
        await this.#applying;
        this.#say("applied", difference);
        this.#seen = "";
      }
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      this.#say("failed", difference, error);
    }
  }

  /** The same thing is said once, not at every look. */
  #say(state: DiscoveryEvent["state"], { add, remove, reweigh }: Difference, error?: RingshiftError): void {
    const event: DiscoveryEvent = {
      source: this.#options.source.text,
      state,
      add: add.map(({ address }) => address),
      remove,
      reweigh: reweigh.map(({ name }) => name),
      ...(error === undefined ? {} : { error }),
    };
    const said = JSON.stringify({ ...event, error: error?.code });
    if (said === this.#said || this.#stopped) return;
    this.#said = said;
    this.#onEvent(event);
  }
}
