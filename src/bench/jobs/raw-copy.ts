/**
 * The floor of a migration: a raw pipelined copy of the same keys over bare sockets, nobody else writing.
 *
 *     source   mg mg mg ... ──► values ──► target   ms ms ms ... ──► HD HD HD ──► source   md md md ...
 *
 * The batches of mg and md are ready as bytes; in those of ms only the value is put in. Nothing is parsed (replies have a known length),
 * nothing checked: no fence, no placeholder, no CAS, no index. Several batches are under way at once.
 */

import { Pipe } from "../clients/pipe.ts";
import { Histogram } from "../measure/histogram.ts";
import { Meter, type ServerPids } from "../measure/meter.ts";
import { SocketWatch } from "../measure/sockets.ts";
import type { Measure } from "../measure/stats.ts";
import { type CopyPlace, fillSources, movingKeys } from "./moving.ts";

export interface RawCopyTask extends CopyPlace {
  readonly job: "raw-copy";
  readonly pids: ServerPids;
}

const BATCH_KEYS = 64;
const CONCURRENCY = 8;
const SHORT_REPLY_BYTES = 4; // "HD" and the end of line

interface Batch {
  readonly source: string;
  readonly keys: number;
  readonly gets: Buffer;
  readonly sets: Buffer;
  readonly deletes: Buffer;
  /** Where each value goes in `sets`. */
  readonly holes: readonly number[];
}

export async function rawCopy(task: RawCopyTask): Promise<Measure> {
  const { sources, target, valueBytes, pids } = task;
  await fillSources(task);
  const batches = makeBatches(task);
  const pipes = new Map<string, Pipe>();
  for (const address of [...sources, target]) pipes.set(address, await Pipe.open(address));
  const header = `VA ${valueBytes} f0\r\n`.length;
  const replyBytes = header + valueBytes + 2;
  const latencies = new Histogram();
  let next = 0;
  const copyOne = async ({ source, keys, gets, sets, deletes, holes }: Batch) => {
    const values = await pipes.get(source)!.send(gets, keys * replyBytes);
    for (const [i, hole] of holes.entries()) {
      const from = i * replyBytes + header;
      values.copy(sets, hole, from, from + valueBytes);
    }
    requireAll(await pipes.get(target)!.send(sets, keys * SHORT_REPLY_BYTES), "HD");
    requireAll(await pipes.get(source)!.send(deletes, keys * SHORT_REPLY_BYTES), "HD");
  };
  const worker = async () => {
    for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) {
      const began = performance.now();
      await copyOne(batch);
      latencies.add((performance.now() - began) * 1000, batch.keys);
    }
  };
  const meter = new Meter(pids, new SocketWatch([]));
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  const cost = meter.stop();
  for (const pipe of pipes.values()) pipe.close();
  const moved = batches.reduce((sum, { keys }) => sum + keys, 0);
  const figures = cost.figures(moved);
  return {
    ...figures,
    opsPerSecond: moved / cost.seconds,
    cpuMicrosPerOp: figures.cpuMicrosPerOp!,
    p50Micros: latencies.percentile(0.5),
    p99Micros: latencies.percentile(0.99),
    bytesOutPerOp: null,
    bytesInPerOp: null,
    packetsPerOp: null,
    moved,
  };
}

/** The first reply of a batch speaks for it: the keys are all alike. */
function requireAll(replies: Buffer, word: string): void {
  const first = replies.toString("latin1", 0, 2);
  if (first !== word) throw new Error(`the raw copy expected ${word}, the server said ${first}`);
}

function makeBatches(place: CopyPlace): Batch[] {
  const batches: Batch[] = [];
  const value = "-".repeat(place.valueBytes);
  for (const [source, keys] of movingKeys(place)) {
    for (let from = 0; from < keys.length; from += BATCH_KEYS) {
      const part = keys.slice(from, from + BATCH_KEYS);
      const holes: number[] = [];
      let sets = "";
      for (const key of part) {
        sets += `ms ${key} ${place.valueBytes} T0 F0\r\n`;
        holes.push(sets.length);
        sets += `${value}\r\n`;
      }
      const text = (line: (key: string) => string) => Buffer.from(part.map(line).join(""), "latin1");
      batches.push({
        source,
        keys: part.length,
        gets: text((key) => `mg ${key} v f\r\n`),
        sets: Buffer.from(sets, "latin1"),
        deletes: text((key) => `md ${key}\r\n`),
        holes,
      });
    }
  }
  return batches;
}
