/** A session without Redis: a view that never changes, over servers without fences. */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { Recorder } from "../keyindex/recorder.ts";
import { metaGet } from "../memcached/commands.ts";
import { ItemLimits } from "../memcached/item-limits.ts";
import { MANAGED_KEY } from "../memcached/key.ts";
import { LinkPool } from "../memcached/pool.ts";
import { Session } from "../protocol/session.ts";
import { systemClock } from "../protocol/system-clock.ts";
import { prepareRings, View } from "../protocol/view.ts";
import type { Compat, NodeRecord, TopologyDocument } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import type { TopologyStore } from "../topology/store.ts";
import { healthOf, poolHealth } from "./health.ts";
import type { LinkTimes, OpenSession } from "./session.ts";

export interface PlainOptions extends LinkTimes {
  readonly servers: readonly NodeRecord[];
  readonly namespace: Namespace;
  readonly compat: Compat;
  readonly hashTags: boolean;
  /** Serve although the server belongs to a managed cluster. */
  readonly unmanaged: boolean;
}

/** A session over servers without fences, index or change. @throws RingshiftError CLUSTER_MANAGED when a server that answers is managed */
export async function openPlain(options: PlainOptions): Promise<OpenSession> {
  const limits = new ItemLimits({ access: options.access }, options.protocol);
  const health = options.health && healthOf(options.health, options.namespace, undefined);
  const pool = new LinkPool({
    connectTimeoutMs: options.connectTimeoutMs,
    timeoutMs: options.ioTimeoutMs,
    access: options.access,
    connections: options.connections,
    protocol: options.protocol,
    queueLimit: options.queueLimit,
    onDown: (node) => limits.forget(node),
    health: options.health && health && poolHealth(options.health, health),
    handshake: options.unmanaged
      ? undefined
      : { commands: [metaGet(MANAGED_KEY)], check: ([reply]) => (reply?.status === "HD" ? managed() : undefined) },
  });
  health?.rejoin?.attach(pool);
  const document = plainDocument(options);
  await prepareRings(document);
  const view = new View(document, "", 0, true);
  const recorder = new Recorder(noStore);
  const session = new Session(
    { namespace: options.namespace, transport: pool, store: noStore, clock: systemClock, recorder, limits },
    view,
  );
  const probes = await Promise.allSettled(
    options.servers.map((node) => pool.link(node).exchange([metaGet(MANAGED_KEY)])),
  );
  for (const probe of probes) {
    if (probe.status === "fulfilled" || !isRingshiftError(probe.reason?.error, "CLUSTER_MANAGED")) continue;
    await pool.close();
    throw probe.reason.error;
  }
  const close = () => {
    limits.close();
    return pool.close();
  };
  return { session, pool, store: undefined, health, close };
}

function managed(): RingshiftError {
  return new RingshiftError(
    "CLUSTER_MANAGED",
    "This server belongs to a ringshift cluster, and a client without Redis would go round its fences and index: give `redis`, or insist with `unmanaged: true`.",
  );
}

function plainDocument({ servers, compat, hashTags }: PlainOptions): TopologyDocument {
  return {
    version: 1,
    id: "plain",
    epoch: 0,
    phase: "S",
    ring: { compat, hashTags },
    nodes: servers,
    previousNodes: null,
    fences: {},
    settling: false,
    generation: 0,
    migrations: 0,
    nextIndex: servers.length,
    runId: "",
    untrusted: [],
    operation: null,
  };
}

/** A plain client never asks Redis anything. */
const noStore = new Proxy({} as TopologyStore, {
  get: (_, name) => () => {
    throw new Error(`a client without Redis asked the store to ${String(name)}`);
  },
});
