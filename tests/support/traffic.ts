/** Several processes of real traffic (`traffic-child.mjs`), and the judgement of what they were answered. */
import type { Client } from "../../src/index.ts";
import { Child } from "./children.ts";

interface Report {
  readonly operations: number;
  /** Each in words. */
  readonly failed: readonly string[];
  readonly stale: readonly string[];
  readonly lost: readonly string[];
  readonly ambiguous: number;
  /** Acknowledged increments by counter. */
  readonly increments: readonly number[];
  /** Own keys still in the game: the version that has to be there, null for none. */
  readonly finals: readonly (readonly [string, number | null])[];
  readonly metrics: { readonly pulled: number; readonly readsOfMovingKeys: number };
}

export interface Outcome {
  readonly operations: number;
  readonly failed: readonly string[];
  readonly stale: readonly string[];
  readonly lost: readonly string[];
  readonly ambiguous: number;
  readonly pulledByClients: number;
  readonly readsOfMovingKeys: number;
}

export interface TrafficSize {
  readonly workers: number;
  /** Keys of each worker. */
  readonly keys: number;
  readonly counters: number;
}

/** Which cluster, as plain data. */
export interface Where {
  readonly redis: string;
  readonly namespace: string;
  readonly servers: readonly string[];
}

export class Traffic {
  readonly #size: TrafficSize;
  readonly #children: readonly Child[];

  private constructor(size: TrafficSize) {
    this.#size = size;
    this.#children = Array.from({ length: size.workers }, () => new Child("traffic-child.mjs"));
  }

  /** Resolves when every process has written its keys and goes on. */
  static async start(where: Where, size: TrafficSize): Promise<Traffic> {
    const traffic = new Traffic(size);
    try {
      for (const [worker, child] of traffic.#children.entries()) child.send({ ...where, ...size, worker });
      for (const child of traffic.#children) await started(child);
      return traffic;
    } catch (error) {
      await traffic.stop();
      throw error;
    }
  }

  /** Kills the processes if they still run. */
  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
  }

  /** Ends the traffic, then compares what is there with what has to be there. @param client a fresh one, for an independent look */
  async outcome(client: Client): Promise<Outcome> {
    for (const child of this.#children) child.send("stop");
    const reports = await Promise.all(this.#children.map((child) => child.receive<Report>()));
    const total = (count: (report: Report) => number) => reports.reduce((sum, report) => sum + count(report), 0);
    const lost = reports.flatMap((report) => report.lost);
    const stale = reports.flatMap((report) => report.stale);
    const ambiguous = total((report) => report.ambiguous);
    const finals = reports.flatMap((report) => report.finals);
    const found = await client.getMulti<{ version: number }>(finals.map(([key]) => key));
    for (const [key, version] of finals) {
      const value = found.get(key);
      if ((value?.version ?? null) !== version) {
        (value === undefined ? lost : stale).push(`${key}: ${value?.version} at the end, had to be ${version}`);
      }
    }
    for (let i = 0; i < this.#size.counters; i++) {
      const counted = total((report) => report.increments[i]!);
      const value = (await client.get<number>(`c:${i}`)) ?? -1;
      if (value < counted || value > counted + ambiguous) stale.push(`c:${i}: ${value} at the end, counted ${counted}`);
    }
    return {
      operations: total((report) => report.operations),
      failed: reports.flatMap((report) => report.failed),
      stale,
      lost,
      ambiguous,
      pulledByClients: total((report) => report.metrics.pulled),
      readsOfMovingKeys: total((report) => report.metrics.readsOfMovingKeys),
    };
  }
}

async function started(child: Child): Promise<void> {
  const message = await child.receive<unknown>();
  if (message !== "running") throw new Error(`a traffic process did not start: ${JSON.stringify(message)}`);
}
