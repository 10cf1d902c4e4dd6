/** What a piece of work in this process costs: time, CPU here and in the servers, garbage, traffic. */
import v8 from "node:v8";
import { cpuMicrosOf, peakMemoryMiB } from "./cpu.ts";
import type { SocketWatch, Traffic } from "./sockets.ts";
import type { Figures } from "./stats.ts";

/** The processes whose CPU time counts besides our own. */
export interface ServerPids {
  readonly memcached: readonly number[];
  readonly redis: readonly number[];
}

interface Reading {
  readonly at: number;
  readonly cpu: number;
  /** Of it in the kernel. */
  readonly system: number;
  readonly servers: number | undefined;
  readonly redis: number | undefined;
  readonly traffic: Traffic;
  readonly heap: number;
}

export interface Cost {
  readonly seconds: number;
  /** CPU of this process, in microseconds. */
  readonly cpuMicros: number;
  /** By its field in a measure, for `ops` operations. */
  figures(ops: number): Figures;
}

export class Meter {
  readonly #pids: ServerPids;
  readonly #sockets: SocketWatch;
  readonly #profiler = new v8.GCProfiler();
  readonly #before: Reading;

  /** Measuring begins. */
  constructor(pids: ServerPids, sockets: SocketWatch) {
    this.#pids = pids;
    this.#sockets = sockets;
    const traffic = sockets.read(); // runs a program: before the clocks are read
    this.#profiler.start();
    this.#before = this.#read(traffic);
  }

  /** Ends the measuring. */
  stop(): Cost {
    const after = this.#read(undefined);
    const garbage = summarise(this.#profiler.stop(), this.#before.heap, after.heap);
    const traffic = this.#sockets.read();
    const before = this.#before;
    const micros = after.cpu - before.cpu;
    const elapsed = after.at - before.at;
    const per = (ops: number, from: number | undefined, to: number | undefined) =>
      from === undefined || to === undefined ? null : (to - from) / ops;
    return {
      seconds: elapsed / 1000,
      cpuMicros: micros,
      figures: (ops) => ({
        cpuMicrosPerOp: micros / ops,
        kernelMicrosPerOp: (after.system - before.system) / ops,
        serverCpuMicrosPerOp: per(ops, before.servers, after.servers),
        redisCpuMicrosPerOp: per(ops, before.redis, after.redis),
        allocatedBytesPerOp: garbage.allocatedBytes / ops,
        gcShare: garbage.micros / 1000 / elapsed,
        bytesOutPerOp: per(ops, before.traffic.bytesOut, traffic.bytesOut),
        bytesInPerOp: per(ops, before.traffic.bytesIn, traffic.bytesIn),
        packetsPerOp: per(ops, before.traffic.packets, traffic.packets),
        peakMemoryMiB: peakMemoryMiB("self") ?? process.resourceUsage().maxRSS / 1024,
      }),
    };
  }

  #read(traffic: Traffic | undefined): Reading {
    const { user, system } = process.cpuUsage();
    return {
      servers: cpuMicrosOf(this.#pids.memcached),
      redis: cpuMicrosOf(this.#pids.redis),
      traffic: traffic ?? { bytesOut: 0, bytesIn: 0, packets: undefined },
      heap: v8.getHeapStatistics().used_heap_size,
      cpu: user + system,
      system,
      at: performance.now(),
    };
  }
}

/** What was allocated on the heap: the growth between collections. And the time the collections took. */
export function summarise(
  profile: v8.GCProfilerResult,
  heapBefore: number,
  heapAfter: number,
): { allocatedBytes: number; micros: number } {
  let allocatedBytes = 0;
  let micros = 0;
  let used = heapBefore;
  for (const { cost, beforeGC, afterGC } of profile.statistics) {
    allocatedBytes += Math.max(0, beforeGC.heapStatistics.usedHeapSize - used);
    used = afterGC.heapStatistics.usedHeapSize;
    micros += cost;
  }
  return { allocatedBytes: allocatedBytes + Math.max(0, heapAfter - used), micros };
}
