/** Lanes: so many calls in flight, each followed by the next until the time is up. */
import type { BenchClient } from "../clients/clients.ts";
import type { Run } from "../clients/floor-bytes.ts";
import { Histogram } from "../measure/histogram.ts";
import { absentKeyOf, keyList, multiKeys, type Workload, zipfIndexes } from "./workloads.ts";

const FILL_BATCH = 100;
const ZIPF_DRAWS = 1 << 16;
/** One of so many operations of the mix is a set. */
const MIX_SET_EVERY = 10;

/** The i-th operation of a workload. Resolves to false when the answer is wrong. */
export type Operation = (i: number) => Promise<boolean>;

/** @param id tells the new keys of this turn from those of others */
export function operationOf(
  workload: Pick<Workload, "kind" | "keys" | "valueBytes">,
  client: BenchClient,
  id: string,
): Operation {
  const { kind, valueBytes } = workload;
  const keys = keyList(workload.keys);
  const value = valueText(valueBytes);
  const looks = client.answersValues !== false;
  const right = (found: unknown) => !looks || (found as string | Buffer | undefined)?.length === valueBytes;
  switch (kind) {
    case "get":
      return (i) => client.get(keys[i % keys.length]!).then(right);
    case "miss": {
      const absent = keyList(workload.keys, absentKeyOf);
      return (i) => client.get(absent[i % absent.length]!).then((found) => found === undefined || found === null);
    }
    case "set":
      return (i) => client.set(keys[i % keys.length]!, value).then(() => true);
    case "set-new":
      return (i) => client.set(`bench:new:${id}:${i}`, value).then(() => true);
    case "mix": {
      const draws = zipfIndexes(keys.length, ZIPF_DRAWS);
      return (i) => {
        const key = keys[draws[i % ZIPF_DRAWS]!]!;
        return i % MIX_SET_EVERY === 0 ? client.set(key, value).then(() => true) : client.get(key).then(right);
      };
    }
    case "multi":
      return (i) => client.getMany(multiKeys(keys, i)).then((found) => !looks || sizeOf(found) === 100);
  }
}

export function valueText(bytes: number): string {
  return "v".repeat(bytes);
}

/** Stores every key that the workload reads. */
export async function fill(client: BenchClient, workload: Pick<Workload, "keys" | "valueBytes">): Promise<void> {
  const value = valueText(workload.valueBytes);
  const keys = keyList(workload.keys);
  const batch = Math.max(1, Math.min(FILL_BATCH, Math.floor((4 << 20) / workload.valueBytes)));
  for (let from = 0; from < keys.length; from += batch) {
    await Promise.all(keys.slice(from, from + batch).map((key) => client.set(key, value)));
  }
}

export interface LaneRun extends Run {
  /** Calls that failed or answered something else than was stored. */
  readonly wrong: number;
  /** The index of the next operation. */
  readonly next: number;
}

/** @param running asked before each call: false ends the lanes */
export async function runLanes(
  operation: Operation,
  inFlight: number,
  running: (now: number) => boolean,
  first: number,
): Promise<LaneRun> {
  const latencies = new Histogram();
  let next = first;
  let wrong = 0;
  const lane = async () => {
    for (let now = performance.now(); running(now); ) {
      try {
        if (!(await operation(next++))) wrong++;
      } catch {
        wrong++;
      }
      const after = performance.now();
      latencies.add((after - now) * 1000);
      now = after;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return { ops: latencies.total, latencies, wrong, next };
}

function sizeOf(found: unknown): number {
  if (found instanceof Map) return found.size;
  if (Array.isArray(found)) return found.filter((value) => value !== null).length;
  return Object.keys(found as object).length;
}
