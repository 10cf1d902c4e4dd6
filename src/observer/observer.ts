/**
 * The observer: looks at what the node watch has seen, and with policy `scale` acts on it. One observer of a cluster acts at a time, the
 * one that holds the lock in Redis; the others look on and take over when it is gone. Rounds keep the lock, and so may be more frequent
 * than probes: the policy goes by the probes' time.
 *
 *   every round:  lock? ─ no ─► watch only
 *                   │ yes
 *                 decide (policy.ts) ─► nothing │ policy report: say it │ policy scale: add or remove a spare
 */
import { hostname } from "node:os";
import { isRingshiftError } from "../errors.ts";
import type { Change, NewNode } from "../migration/change.ts";
import { randomId, type TopologyDocument } from "../topology/document.ts";
import type { NodeHealth } from "./node-watch.ts";
import { changed, decide, initialState, type PolicySettings, type PolicyState, type Sample } from "./policy.ts";

/** A lock that is not renewed ends after this, in ms. */
export const LOCK_MS = 5_000;

export interface ObserverSettings extends PolicySettings {
  readonly policy: "report" | "scale";
  readonly intervalMs: number;
}

export interface ObserverOptions {
  readonly settings: () => ObserverSettings;
  /** The servers that may be added, in this order. */
  readonly spares: () => readonly NewNode[];
  readonly document: () => TopologyDocument;
  /** Health of the cluster's nodes. */
  readonly health: () => readonly NodeHealth[];
  /** Monotonic ms of the end of the probes that the health is from. */
  readonly probedAt: () => number;
  /** Takes or renews the lock; answers who holds it. @throws RingshiftError */
  readonly lock: (holder: string, ms: number) => Promise<string>;
  readonly unlock: (holder: string) => Promise<void>;
  /** Carries a change through. @throws RingshiftError */
  readonly apply: (change: Change) => Promise<unknown>;
  readonly onEvent: (level: "info" | "warn" | "error", text: string) => void;
}

export class Observer {
  readonly #options: ObserverOptions;
  readonly #holder = `${hostname()} ${process.pid} ${randomId()}`;
  #state: PolicyState | undefined;
  #acting = false;
  #working = false;
  #said = "";
  /** Spares that could not be added, put behind the others. */
  readonly #failed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  /** True while this process holds the lock. */
  get acting(): boolean {
    return this.#acting;
  }

  start(): void {
    this.#round = this.round(performance.now());
    void this.#round.then(() => {
      if (this.#stopped) return;
      this.#timer = setTimeout(() => this.start(), Math.min(this.#options.settings().intervalMs, LOCK_MS / 3));
      this.#timer.unref();
    });
  }

  /** Gives the lock back. A change under way is its runner's to end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
    if (this.#acting) await this.#options.unlock(this.#holder).catch(() => {}); // it ends by itself
    this.#acting = false;
  }

  /** One look. While a change of its own runs it only keeps the lock. */
  async round(nowMs: number): Promise<void> {
    if (!(await this.#hold())) return;
    if (this.#working) return;
    const settings = this.#options.settings();
    this.#state ??= initialState(nowMs);
    const { state, action, reason, blocked } = decide(this.#state, this.#sample(nowMs), settings);
    this.#state = state;
    if (action.kind === "none") {
      if (blocked !== undefined && blocked !== "cool-down")
        this.#say("warn", `The cluster is ${state.load} (${reason}), but ${blocked}.`);
      else if (state.load === "normal") this.#said = "";
      return;
    }
    const change = this.#changeOf(action.kind, action.name);
    if (settings.policy === "report") {
      const verb = action.kind === "add" ? "add" : "remove";
      this.#say(
        "warn",
        `The cluster is ${state.load} (${reason}): with observer.policy scale this would ${verb} ${action.name}.`,
      );
      return;
    }
    this.#options.onEvent("info", `The cluster is ${state.load} (${reason}): ${action.kind} ${action.name}`);
    this.#working = true;
    void this.#act(change, action.name).finally(() => {
      this.#state = changed(state, performance.now());
      this.#working = false;
    });
  }

  async #act(change: Change, name: string): Promise<void> {
    try {
      await this.#options.apply(change);
      this.#failed.delete(name);
    } catch (error) {
      this.#failed.add(name);
      const text = isRingshiftError(error) ? `${error.code}: ${error.message}` : String(error);
      this.#options.onEvent("error", `The change failed (${text}); another try after the cool-down.`);
    }
  }

  async #hold(): Promise<boolean> {
    const holder = await this.#options.lock(this.#holder, LOCK_MS).catch(() => undefined);
    const held = holder === this.#holder;
    if (held !== this.#acting) {
      this.#state = undefined;
      if (held) this.#options.onEvent("info", "This observer acts now.");
      else if (holder !== undefined) this.#options.onEvent("info", "Another observer acts; this one looks on.");
      else this.#options.onEvent("warn", "Redis does not answer: no observer acts until it does.");
    }
    this.#acting = held;
    return held;
  }

  #sample(nowMs: number): Sample {
    const { phase, settling, nodes } = this.#options.document();
    const names = new Map(nodes.map((node) => [node.name, node.index]));
    const spares = this.#options.spares().map(nameOf);
    const free = spares.filter((name) => !names.has(name));
    return {
      nowMs,
      probedMs: this.#options.probedAt(),
      nodes: this.#options.health().flatMap(({ name, state, stats }) => {
        return stats === undefined || state === "down" || !names.has(name) ? [] : [{ name, ...stats }];
      }),
      size: nodes.length,
      free: [...free.filter((name) => !this.#failed.has(name)), ...free.filter((name) => this.#failed.has(name))],
      used: spares.filter((name) => names.has(name)).sort((a, b) => names.get(a)! - names.get(b)!),
      busy: phase !== "S" || settling,
    };
  }

  #changeOf(kind: "add" | "remove", name: string): Change {
    if (kind === "remove") return { kind: "remove-node", names: [name] };
    return { kind: "add-node", nodes: [this.#options.spares().find((spare) => nameOf(spare) === name)!] };
  }

  /** The same thing is said once, not every second. */
  #say(level: "info" | "warn", text: string): void {
    const gist = text.replace(/\([^)]*\)/, "");
    if (gist !== this.#said) this.#options.onEvent(level, text);
    this.#said = gist;
  }
}

function nameOf({ name, address }: NewNode): string {
  return name ?? address;
}
