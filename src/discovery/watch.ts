/**
 * Looks at a source again and again, and says when it differs from the cluster. With `apply` a difference that stands is carried out: one
 * that two looks in a row have shown, since a source may answer half of its servers once.
 *
 *   every interval ─► find ─► difference ─┬─ none, or said before ─► nothing
 *                                         ├─ new ─► event "differs"
 *                                         └─ seen twice, autoApply ─► apply ─┬─ what was done ─► event "applied"
 *                                                                            └─ refused ─► event "failed", and again next time
 */
import { isRingshiftError, type RingshiftError } from "../errors.ts";
import type { Change, NewNode } from "../migration/change.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { Proposal } from "./apply.ts";
import { changesOf, differenceOf } from "./difference.ts";
import type { DiscoverySource } from "./source.ts";

export interface DiscoveryEvent {
  /** As it was given: `dns:cache.example:11211`. */
  readonly source: string;
  /**
   * `differs`: the source names other servers than the cluster has, and nothing was done. `applied`: this client has made the changes below,
   * which may be a part of the difference. `failed`: the source could not be read, or a change not be made; those below are open.
   */
  readonly state: "differs" | "applied" | "failed";
  /** Addresses that are named, and not in the cluster; of `applied`: were not. */
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
  /** In order, as far as it goes; tells `onApplied` of each change that is made. Undefined: differences are only said. @throws RingshiftError */
  readonly apply?: ((proposal: Proposal, onApplied: (change: Change) => void) => Promise<void>) | undefined;
}

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
    let changes: readonly Change[] = [];
    const applied: Change[] = [];
    try {
      const found: readonly NewNode[] = await source.find();
      changes = changesOf(differenceOf(found, nodes()));
      const text = JSON.stringify(changes);
      const standing = text === this.#seen;
      this.#seen = text;
      if (changes.length === 0) {
        this.#said = "";
      } else if (apply === undefined || !standing) {
        this.#say("differs", changes);
      } else if (!this.#stopped) {
        this.#applying = apply({ found, changes }, (change) => applied.push(change));
        await this.#applying.finally(() => {
          if (applied.length > 0) this.#say("applied", applied);
        });
        this.#seen = "";
      }
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      this.#say("failed", changes.slice(applied.length), error);
    }
  }

  /** The same thing is said once, not at every look. */
  #say(state: DiscoveryEvent["state"], changes: readonly Change[], error?: RingshiftError): void {
    const event: DiscoveryEvent = {
      source: this.#options.source.text,
      state,
      add: changes.flatMap((change) => (change.kind === "add-node" ? change.nodes.map(({ address }) => address) : [])),
      remove: changes.flatMap((change) => (change.kind === "remove-node" ? change.names : [])),
      reweigh: changes.flatMap((change) => (change.kind === "set-weight" ? [change.name] : [])),
      ...(error === undefined ? {} : { error }),
    };
    const said = JSON.stringify({ ...event, error: error?.code });
    if (said === this.#said || this.#stopped) return;
    this.#said = said;
    this.#onEvent(event);
  }
}
