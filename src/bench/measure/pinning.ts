/** Which cores run what: clients on one, servers on the others, by taskset. Without it the scheduler places the processes. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Pinning {
  /** For people. */
  readonly text: string;
  /** A core list for taskset; undefined: wherever the scheduler wants. */
  readonly client: string | undefined;
  readonly servers: string | undefined;
}

export function choosePinning(): Pinning {
  const cores = allowedCores();
  if (cores.length < 2) return notPinned(`not pinned: ${cores.length === 1 ? "one core" : "cores unknown"}`);
  const [client, ...servers] = cores.map(String) as [string, ...string[]];
  try {
    execFileSync("taskset", ["-c", client, "true"], { stdio: "ignore" });
  } catch {
    return notPinned("not pinned: taskset is not available");
  }
  const text = `client on core ${client}, servers and copier on ${servers.join(", ")} (taskset)`;
  return { text, client, servers: servers.join(",") };
}

/** Moves a process with all its threads. */
export function pin(pid: number, cores: string | undefined): void {
  if (cores !== undefined) execFileSync("taskset", ["-a", "-c", "-p", cores, String(pid)], { stdio: "ignore" });
}

/** `fork` options that start a Node process on these cores, with our own Node options: `node --cpu-prof dist/bench/main.js` profiles all. */
export function pinnedNode(cores: string | undefined) {
  if (cores === undefined) return {};
  return { execPath: "taskset", execArgv: ["-c", cores, process.execPath, ...process.execArgv] };
}

function notPinned(text: string): Pinning {
  return { text, client: undefined, servers: undefined };
}

/** The cores that this process may run on: in a container not always all of them. */
function allowedCores(): number[] {
  let status: string;
  try {
    status = readFileSync("/proc/self/status", "utf8");
  } catch {
    return [];
  }
  return parseCoreList(/^Cpus_allowed_list:\s+(\S+)/m.exec(status)?.[1] ?? "");
}

/** `0-2,5` is 0, 1, 2, 5. */
export function parseCoreList(list: string): number[] {
  return list.split(",").flatMap((part) => {
    const [first, last = first] = part.split("-").map(Number);
    if (part === "" || first === undefined || last === undefined) return [];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
