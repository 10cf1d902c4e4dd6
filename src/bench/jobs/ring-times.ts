/** Times of the ring itself, in a fresh process: nothing of it is compiled or cached yet. */
import { makePlan } from "../../migration/plan.ts";
import { buildRing, diffRings, keyHash } from "../../ring/index.ts";
import type { NodeRecord, TopologyDocument } from "../../topology/document.ts";
import type { TopologyStore } from "../../topology/store.ts";
import type { Measure } from "../measure/stats.ts";
import { keyOf } from "./workloads.ts";

export interface RingTask {
  readonly job: "ring";
  readonly nodes: number;
}

const LOOKUPS = 1_000_000;

/** A plan's own work, without what Redis takes to list keys. */
const EMPTY_INDEX = { async *entries() {} } as unknown as TopologyStore;

function documentOf(nodes: readonly NodeRecord[]): TopologyDocument {
  return { nodes, ring: { compat: "ringshift", hashTags: false }, generation: 0 } as unknown as TopologyDocument;
}

/** One operation is one lookup of a key: hash and ring. */
export async function ringTimes({ nodes }: RingTask): Promise<Measure> {
  const larger = Array.from({ length: nodes + 1 }, (_, index) => {
    const name = `10.0.${index >> 8}.${index & 255}:11211`;
    return { index, name, address: name };
  });
  const first = larger.slice(0, nodes);
  const build = await longestSlice(() => buildRing(first));
  const ring = build.result;
  const change = await longestSlice(() => buildRing(larger));
  const diff = await longestSlice(async () => diffRings(ring, change.result));
  const plan = await longestSlice(async () => makePlan(EMPTY_INDEX, documentOf(first), larger));
  const keys = Array.from({ length: LOOKUPS }, (_, i) => flat(keyOf(i)));
  const cpu = process.cpuUsage();
  const began = performance.now();
  let sum = 0;
  for (const key of keys) sum += ring.ownerAt(ring.locate(keyHash(key)));
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  if (sum === 0) throw new Error("every key fell on the first node");
  return {
    opsPerSecond: LOOKUPS / seconds,
    cpuMicrosPerOp: (user + system) / LOOKUPS,
    p50Micros: null,
    p99Micros: null,
    buildMillis: build.millis,
    buildCpuMillis: build.cpuMillis,
    buildLongestSliceMillis: build.longest,
    changeMillis: change.millis,
    changeLongestSliceMillis: change.longest,
    diffMillis: diff.millis,
    planMillis: plan.millis,
    planLongestSliceMillis: plan.longest,
    points: ring.size,
  };
}

/** A text that was put together of pieces is joined by V8 when somebody first looks into it: 0.3 µs, which would count as the lookup's. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

interface Timed<T> {
  readonly result: T;
  readonly millis: number;
  readonly cpuMillis: number;
  /** The longest that the event loop was held meanwhile, in ms. */
  readonly longest: number;
}

/** The time of some work, and what it did to the event loop. */
export async function longestSlice<T>(work: () => Promise<T>): Promise<Timed<T>> {
  let longest = 0;
  let last = performance.now();
  let running = true;
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (running) setImmediate(look);
  };
  const cpu = process.cpuUsage();
  const began = performance.now();
  setImmediate(look);
  const result = await work();
  const millis = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  running = false;
  look();
  return { result, millis, cpuMillis: (user + system) / 1000, longest };
}
