/**
 * Watches every node: one `stats` a round, its latency and what it says. Publishes states; decides nothing.
 *
 *            failure            failure (or a request that failed)
 *   up ───────────────► suspect ───────────────► down
 *    ▲                     │                       │
 *    └──────── success ────┴──────── success ──────┘         another time of start: restarted
 *
 * A suspect node still counts as available: one lost probe is no outage.
 *
 * When a server was started is `time` less `uptime`: memcached counts both from one clock, so it is to the second the same in every answer,
 * also after the process was stopped for a while. It is kept by a warm restart (memcached -e), which loses nothing.
 */
import { isRingshiftError } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { stats } from "../memcached/admin.ts";
import type { NodeRecord } from "../topology/document.ts";

export type NodeState = "unknown" | "up" | "suspect" | "down";

/** What a server says of itself: numbers of memcached's `stats`, of all namespaces. */
export interface NodeStats {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly items: number;
  readonly bytes: number;
  readonly limitBytes: number;
  /** Since its start, as the following ones. */
  readonly evictions: number;
  readonly hits: number;
  readonly misses: number;
  readonly sets: number;
  readonly connections: number;
}

export interface NodeHealth {
  readonly index: number;
  readonly name: string;
  readonly address: string;
  readonly state: NodeState;
  /** ISO 8601 time of the last change of state. */
  readonly since: string;
  /** Time of the latest successful probe from connecting to its answer's end, in ms. */
  readonly latencyMs: number | undefined;
  /** Restarts seen while it was watched. */
  readonly restarts: number;
  /** By the server's own clock, in seconds since 1970. */
  readonly startedAtSeconds: number | undefined;
  /** Of the latest successful probe. */
  readonly stats: NodeStats | undefined;
}

export type WatchEvent =
  | { readonly kind: "state"; readonly node: string; readonly from: NodeState; readonly to: NodeState }
  | { readonly kind: "restarted"; readonly node: string };

export interface NodeWatchOptions {
  /** The nodes to watch, asked before each round. */
  readonly nodes: () => readonly NodeRecord[];
  /** From the begin of one round to the begin of the next, in ms. */
  readonly intervalMs: () => number;
  /** How the servers are reached. */
  readonly access?: ServerAccess | undefined;
  readonly onEvent?: ((event: WatchEvent) => void) | undefined;
  /** For tests: asks one server. */
  readonly ask?: ((address: string, timeoutMs: number) => Promise<ReadonlyMap<string, string>>) | undefined;
}

/** A probe that takes longer has failed, in ms. */
const PROBE_TIMEOUT_MS = 1_000;
/** Probes at the same time. */
const CONCURRENCY = 32;
/** Where a server rounds its two times apart, they disagree by this much without a restart. */
const START_SLACK_S = 1;

export class NodeWatch {
  readonly #options: NodeWatchOptions;
  readonly #health = new Map<number, NodeHealth>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #round: Promise<void> = Promise.resolve();
  /** Grows when a node's availability changes. */
  version = 0;
  /** Monotonic ms of the latest round's end. */
  roundAt = 0;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
  }

  /** The health of the nodes that are watched now, in the order of their indexes. */
  get nodes(): NodeHealth[] {
    return this.#options
      .nodes()
      .map((node) => this.#of(node))
      .sort((a, b) => a.index - b.index);
  }

  /** False for a node that is down. */
  available(index: number): boolean {
    return this.#health.get(index)?.state !== "down";
  }

  /** A request found the node down: no need to wait for the next probes. */
  failed(name: string): void {
    const node = this.#options.nodes().find((one) => one.name === name);
    if (node !== undefined) this.#change(node, { state: "down" });
  }

  /** The first round, then one each interval until `stop`. */
  async start(): Promise<void> {
    const begun = performance.now();
    this.#round = this.round();
    await this.#round;
    if (this.#stopped) return;
    const wait = Math.max(20, this.#options.intervalMs() - (performance.now() - begun));
    this.#timer = setTimeout(() => void this.start(), wait);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  /** One probe of every node. */
  async round(): Promise<void> {
    const nodes = this.#options.nodes();
    const present = new Set(nodes.map((node) => node.index));
    for (const index of this.#health.keys()) if (!present.has(index)) this.#health.delete(index);
    const queue = [...nodes];
    const work = async () => {
      for (let node = queue.shift(); node !== undefined; node = queue.shift()) await this.#probe(node);
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, nodes.length) }, work));
    this.roundAt = performance.now();
  }

  async #probe(node: NodeRecord): Promise<void> {
    const { access } = this.#options;
    const ask = this.#options.ask ?? ((address, timeoutMs) => stats(address, "", { timeoutMs, access }));
    const begun = performance.now();
    try {
      const answer = await ask(node.address, PROBE_TIMEOUT_MS);
      const before = this.#of(node);
      const startedAtSeconds = startOf(answer);
      const restarted = differ(before.startedAtSeconds, startedAtSeconds);
      if (restarted) this.#options.onEvent?.({ kind: "restarted", node: node.name });
      this.#change(node, {
        state: "up",
        latencyMs: performance.now() - begun,
        stats: statsOf(answer),
        startedAtSeconds,
        restarts: before.restarts + (restarted ? 1 : 0),
      });
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      const { state } = this.#of(node);
      this.#change(node, { state: state === "up" ? "suspect" : "down" });
    }
  }

  #change(node: NodeRecord, change: Partial<NodeHealth>): void {
    const before = this.#of(node);
    const state = change.state ?? before.state;
    const since = state === before.state ? before.since : new Date().toISOString();
    this.#health.set(node.index, { ...before, ...change, since });
    if (state === before.state) return;
    if (state === "down" || before.state === "down") this.version++;
    this.#options.onEvent?.({ kind: "state", node: node.name, from: before.state, to: state });
  }

  #of({ index, name, address }: NodeRecord): NodeHealth {
    const known = this.#health.get(index);
    if (known !== undefined) return known;
    const since = new Date().toISOString();
    return {
      index,
      name,
      address,
      state: "unknown",
      since,
      latencyMs: undefined,
      restarts: 0,
      startedAtSeconds: undefined,
      stats: undefined,
    };
  }
}

/** Undefined where the server does not say. */
function startOf(found: ReadonlyMap<string, string>): number | undefined {
  const start = Number(found.get("time")) - Number(found.get("uptime"));
  return Number.isNaN(start) ? undefined : start;
}

function differ(before: number | undefined, now: number | undefined): boolean {
  return before !== undefined && now !== undefined && Math.abs(now - before) > START_SLACK_S;
}

function statsOf(found: ReadonlyMap<string, string>): NodeStats {
  const number = (name: string) => Number(found.get(name) ?? 0);
  return {
    version: found.get("version") ?? "",
    uptimeSeconds: number("uptime"),
    items: number("curr_items"),
    bytes: number("bytes"),
    limitBytes: number("limit_maxbytes"),
    evictions: number("evictions"),
    hits: number("get_hits"),
    misses: number("get_misses"),
    sets: number("cmd_set"),
    connections: number("curr_connections"),
  };
}
