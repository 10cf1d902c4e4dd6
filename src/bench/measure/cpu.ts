/** What the kernel knows of a process: CPU time and peak memory, from /proc. Elsewhere than on Linux the answers are undefined. */
import { readdirSync, readFileSync } from "node:fs";

/** Of `utime` and `stime` in /proc/PID/stat, where the finer schedstat is not there. USER_HZ is 100 on every Linux. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process since its start, all threads, in microseconds. */
export function cpuMicros(pid: number): number | undefined {
  return scheduledMicros(pid) ?? tickedMicros(pid);
}

/** Of several processes together; undefined when one cannot be read. */
export function cpuMicrosOf(pids: readonly number[]): number | undefined {
  let sum = 0;
  for (const pid of pids) {
    const micros = cpuMicros(pid);
    if (micros === undefined) return undefined;
    sum += micros;
  }
  return sum;
}

/** The most memory that a process ever had resident, in MiB. */
export function peakMemoryMiB(pid: number | "self"): number | undefined {
  const kib = /^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}

function scheduledMicros(pid: number): number | undefined {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return undefined;
  }
  let nanos = 0;
  for (const thread of threads) {
    const text = read(`/proc/${pid}/task/${thread}/schedstat`);
    if (text === undefined) return undefined;
    nanos += Number(text.split(" ", 1)[0]);
  }
  return nanos / 1000;
}

function tickedMicros(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name in front may hold anything
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
