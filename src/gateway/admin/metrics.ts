/** Prometheus metrics of one gateway. Labels are node names, methods and statuses: never a key. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { LATENCY_BOUNDS_S } from "../traffic.ts";
import type { AdminParts, StateReader } from "./parts.ts";
import type { NodeView } from "./state.ts";

const PHASES = ["S", "F", "D"] as const;

export function createMetrics(parts: AdminParts, state: StateReader): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  trafficMetrics(registry, parts);
  nodeMetrics(registry, state);
  clusterMetrics(registry, parts);
  return registry;
}

function trafficMetrics(registry: Registry, parts: AdminParts): void {
  const { traffic } = parts;
  new Counter({
    name: "ringshift_http_requests_total",
    help: "Answers of the data port.",
    labelNames: ["method", "status"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [method, { answers }] of traffic.methods) {
        for (const [status, count] of answers) this.inc({ method, status: String(status) }, count);
      }
    },
  });
  new Counter({
    name: "ringshift_http_reads_total",
    help: "Reads of single keys, by what they found; batches are not among them.",
    labelNames: ["result"],
    registers: [registry],
    collect() {
      this.reset();
      const { hits, misses } = traffic.totals;
      this.inc({ result: "hit" }, hits);
      this.inc({ result: "miss" }, misses);
    },
  });
  const name = "ringshift_http_request_seconds";
  const help = "From a request's headers to its answer.";
  const histogram = new Histogram({
    name,
    help,
    labelNames: ["method"],
    buckets: [...LATENCY_BOUNDS_S],
    registers: [registry],
  });
  // the counting is ours (traffic.ts), so the histogram only prints
  const get = async () => ({ name, help, type: "histogram", aggregator: "sum", values: histogramValues(name, parts) });
  Object.assign(histogram, { get, getForPromString: get });
}

function histogramValues(name: string, { traffic }: AdminParts) {
  return [...traffic.methods].flatMap(([method, { buckets, seconds }]) => {
    let sum = 0;
    const values = buckets.map((count, i) => {
      sum += count;
      return { value: sum, metricName: `${name}_bucket`, labels: { method, le: LATENCY_BOUNDS_S[i] ?? "+Inf" } };
    });
    const total = { value: seconds, metricName: `${name}_sum`, labels: { method } };
    return [...values, total, { value: sum, metricName: `${name}_count`, labels: { method } }];
  });
}

function nodeMetrics(registry: Registry, state: StateReader): void {
  const gauge = (name: string, help: string, read: (node: NodeView) => number | undefined) => {
    new Gauge({
      name: `ringshift_node_${name}`,
      help,
      labelNames: ["node"],
      registers: [registry],
      collect() {
        this.reset();
        for (const node of state.nodes) {
          const value = read(node);
          if (value !== undefined) this.set({ node: node.name }, value);
        }
      },
    });
  };
  gauge("up", "1 while the node answers.", (node) => (node.state === "down" ? 0 : 1));
  gauge("points", "Ring points.", (node) => node.points);
  gauge("expected_share", "Part of the hash range, 0 to 1.", (node) => node.expectedShare);
  gauge("entries", "Index entries.", (node) => node.entries);
  gauge("items", "Items on the server, of all namespaces.", (node) => node.items);
  gauge("bytes", "Bytes in use for items.", (node) => node.bytes);
  gauge("limit_bytes", "Bytes it may use for items.", (node) => node.limitBytes);
  gauge("evictions", "Evictions since the server's start.", (node) => node.evictions);
  gauge("hit_ratio", "Hits of all gets since the server's start.", (node) => node.hitRatio);
  gauge("connections", "Open connections.", (node) => node.connections);
  gauge("probe_seconds", "Time of the latest probe.", ({ latencyMs }) => latencyMs && latencyMs / 1000);
  gauge("restarts", "Restarts seen by this gateway.", (node) => node.restarts);
}

function clusterMetrics(registry: Registry, { cache, changes, observing }: AdminParts): void {
  const gauge = (name: string, help: string, read: () => number) => {
    new Gauge({ name: `ringshift_${name}`, help, registers: [registry], collect: set(read) });
  };
  function set(read: () => number) {
    return function (this: Gauge) {
      this.set(read());
    };
  }
  const document = () => cache().session.view.document;
  gauge("epoch", "Epoch of the topology document.", () => document().epoch);
  gauge("phase", "0 stable, 1 fencing, 2 keys are moving.", () => PHASES.indexOf(document().phase));
  gauge("nodes", "Nodes of the ring.", () => document().nodes.length);
  gauge("migrations", "Migrations completed in this cluster.", () => document().migrations);
  gauge("coordinating", "1 while this gateway coordinates a change.", () =>
    changes.coordinated === undefined ? 0 : 1,
  );
  gauge("observing", "1 while this gateway's observer holds the lock.", () => (observing() ? 1 : 0));
  gauge(
    "moved_keys",
    "Keys moved by this gateway in the change that it coordinates.",
    () => changes.coordinated?.moved ?? 0,
  );
  new Counter({
    name: "ringshift_client_events_total",
    help: "What the protocol did in this gateway's client.",
    labelNames: ["event"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [event, count] of Object.entries(cache().client.metrics())) {
        if (typeof count === "number") this.inc({ event }, count);
      }
    },
  });
}
