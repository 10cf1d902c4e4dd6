/** The load of one measurement, in a process of its own so that it shares no event loop with anything: GETs over 64 connections. */
import { once } from "node:events";
import autocannon from "autocannon";

/** What a parent asks for. */
export interface LoadOrder {
  readonly url: string;
  /** Paths that requests go to by turns. */
  readonly paths: readonly string[];
  readonly connections: number;
  readonly seconds: number;
}

/** What came of it. Latencies are in ms. */
export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Answers that were not 2xx, and requests that got none. */
  readonly failed: number;
}

async function run({ url, paths, connections, seconds }: LoadOrder): Promise<LoadResult> {
  const { requests, latency, non2xx, errors, timeouts, duration } = await autocannon({
    url,
    connections,
    duration: seconds,
    requests: paths.map((path) => ({ method: "GET", path })),
  });
  return {
    requests: requests.total,
    requestsPerSecond: requests.total / duration,
    p50: latency.p50,
    p99: latency.p99,
    failed: non2xx + errors + timeouts,
  };
}

const [order] = (await once(process, "message")) as [LoadOrder];
process.send?.(await run(order));
process.disconnect();
