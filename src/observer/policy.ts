/**
 * When to grow and when to shrink. Pure: the clock comes in with the sample.
 *
 *                 full for outAfterSeconds                       add a spare
 *   full    ── evictions/s over the threshold, or a node's memory over its share
 *   normal  ── neither: both clocks stand at zero  (the gap between the thresholds is the hysteresis)
 *   low     ── no evictions, and what is stored would fill the cluster without its last spare by less than inBelowShare
 *                 low for inAfterSeconds                         remove the spare added last
 *
 * Only spares come and go; between two changes lies the cool-down; the number of nodes stays within its bounds.
 */

export interface PolicySettings {
  readonly evictionsPerSecond: number;
  readonly memoryShare: number;
  readonly outAfterSeconds: number;
  readonly inBelowShare: number;
  readonly inAfterSeconds: number;
  readonly coolDownSeconds: number;
  readonly minNodes: number;
  readonly maxNodes: number;
}

export interface NodeSample {
  readonly name: string;
  readonly bytes: number;
  readonly limitBytes: number;
  /** Since the server's start. */
  readonly evictions: number;
}

/** The cluster at one moment. */
export interface Sample {
  /** Monotonic. */
  readonly nowMs: number;
  /** When the nodes were probed, on the same clock. Of one probe there may be many samples. */
  readonly probedMs: number;
  /** The nodes that answered, and how many there are. */
  readonly nodes: readonly NodeSample[];
  readonly size: number;
  /** Spares that are not in the cluster, in the order in which to add them. */
  readonly free: readonly string[];
  /** Spares that are in the cluster, the one added last at the end. */
  readonly used: readonly string[];
  /** A change is under way: nothing is decided. */
  readonly busy: boolean;
}

export type Load = "full" | "normal" | "low";

export interface PolicyState {
  readonly load: Load;
  /** The probe since which the load is what it is. */
  readonly sinceMs: number;
  readonly changedMs: number;
  /** The latest probe. */
  readonly at: Probe | undefined;
}

interface Probe {
  readonly probedMs: number;
  /** By node, since its start. */
  readonly evictions: ReadonlyMap<string, number>;
  /** Evictions a second since the probe before. */
  readonly rate: number;
}

export interface Decision {
  readonly state: PolicyState;
  readonly action:
    | { readonly kind: "none" }
    | { readonly kind: "add"; readonly name: string }
    | { readonly kind: "remove"; readonly name: string };
  /** Numbers behind the load, in words. */
  readonly reason: string;
  /** What keeps an action from being taken that the load asks for. */
  readonly blocked: string | undefined;
}

/** Who begins to act waits for a cool-down first: it does not know what was done before. */
export function initialState(nowMs: number): PolicyState {
  return { load: "normal", sinceMs: nowMs, changedMs: nowMs, at: undefined };
}

/** The state after a change has been made, or has failed. */
export function changed(state: PolicyState, nowMs: number): PolicyState {
  return { ...state, load: "normal", sinceMs: nowMs, changedMs: nowMs };
}

export function decide(state: PolicyState, sample: Sample, settings: PolicySettings): Decision {
  const { nowMs, probedMs } = sample;
  const at = probeOf(state.at, sample);
  const { load, reason } = loadOf(at.rate, sample, settings);
  const sinceMs = load === state.load ? state.sinceMs : Math.max(probedMs, state.changedMs);
  const next: PolicyState = { ...state, load, sinceMs, at };
  const heldSeconds = (probedMs - sinceMs) / 1000; // what no probe has seen yet does not count
  const none = (blocked?: string): Decision => ({ state: next, action: { kind: "none" }, reason, blocked });
  const due =
    load === "full"
      ? heldSeconds >= settings.outAfterSeconds
      : load === "low" && heldSeconds >= settings.inAfterSeconds;
  if (!due) return none();
  if (sample.busy) return none("a change is under way");
  if (nowMs - state.changedMs < settings.coolDownSeconds * 1000) return none("cool-down");
  if (load === "full") {
    const name = sample.free[0];
    if (name === undefined) return none("no spare is left");
    if (sample.size >= settings.maxNodes) return none(`observer.maxNodes is ${settings.maxNodes}`);
    return { state: next, action: { kind: "add", name }, reason, blocked: undefined };
  }
  const name = sample.used.at(-1);
  if (name === undefined || sample.size <= settings.minNodes) return none();
  return { state: next, action: { kind: "remove", name }, reason, blocked: undefined };
}

function loadOf(rate: number, sample: Sample, settings: PolicySettings): { load: Load; reason: string } {
  if (rate > settings.evictionsPerSecond) return { load: "full", reason: `${rate.toFixed(1)} evictions/s` };
  for (const { name, bytes, limitBytes } of sample.nodes) {
    const used = bytes / limitBytes;
    if (used > settings.memoryShare) return { load: "full", reason: `${name} uses ${percent(used)} of its memory` };
  }
  const last = sample.used.at(-1);
  if (last === undefined || rate > 0 || sample.nodes.length < sample.size)
    return { load: "normal", reason: "within bounds" };
  const stored = sample.nodes.reduce((sum, node) => sum + node.bytes, 0);
  const left = sample.nodes.reduce((sum, node) => (node.name === last ? sum : sum + node.limitBytes), 0);
  if (left === 0 || stored / left >= settings.inBelowShare) return { load: "normal", reason: "within bounds" };
  return { load: "low", reason: `without ${last} the memory would be ${percent(stored / left)} full` };
}

/** A sample of the same probe leaves it as it is. A server that has restarted counts anew. */
function probeOf(at: Probe | undefined, { probedMs, nodes }: Sample): Probe {
  if (at !== undefined && probedMs <= at.probedMs) return at;
  const evictions = new Map(nodes.map((node) => [node.name, node.evictions]));
  if (at === undefined) return { probedMs, evictions, rate: 0 };
  let evicted = 0;
  for (const [name, now] of evictions) evicted += Math.max(0, now - (at.evictions.get(name) ?? now));
  return { probedMs, evictions, rate: evicted / ((probedMs - at.probedMs) / 1000) };
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}
