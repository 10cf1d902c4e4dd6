/**
 * Opens a session of this process: connections, the first view, heartbeats, announcements. A client and an operator's command have one
 * each. Without Redis: a view that never changes over servers without fences (a plain ketama client).
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { Recorder } from "../keyindex/recorder.ts";
import { metaGet } from "../memcached/commands.ts";
import { ItemLimits } from "../memcached/item-limits.ts";
import { MANAGED_KEY } from "../memcached/key.ts";
import { LinkPool } from "../memcached/pool.ts";
import { caretake } from "../protocol/caretaker.ts";
import { Session } from "../protocol/session.ts";
import { systemClock } from "../protocol/system-clock.ts";
import { View } from "../protocol/view.ts";
import { allNodes, type Compat, type NodeRecord, type TopologyDocument } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import { RedisStore } from "../topology/redis-store.ts";
import type { TopologyStore } from "../topology/store.ts";

/** Between two heartbeats; the poll that finds what an announcement has missed. */
const HEARTBEAT_MS = 1_000;
/** Links to servers that have left close after this: stragglers of an older epoch may still need them. */
const RETIRE_MS = 35_000;

export interface LinkTimes {
  readonly connectTimeoutMs?: number | undefined;
  /** Per flush: a connection that does not answer within it is destroyed. */
  readonly ioTimeoutMs?: number | undefined;
}

export interface OpenSession {
  readonly session: Session;
  readonly pool: LinkPool;
  /** Undefined without Redis. */
  readonly store: RedisStore | undefined;
  close(): Promise<void>;
}

export interface ManagedOptions extends LinkTimes {
  readonly redis: string;
  readonly namespace: Namespace;
  /** Helps a cluster without an operator along (ends of settling, confirmations). Off for one-shot commands. */
  readonly caretaker?: boolean | undefined;
  /** Starts the cluster when Redis does not know it yet. */
  readonly seed?: ((store: RedisStore, pool: LinkPool) => Promise<void>) | undefined;
}

/** @throws RingshiftError NOT_INITIALISED, REDIS_UNREACHABLE, UNSUPPORTED_DOCUMENT, and what `seed` throws */
export async function openManaged(options: ManagedOptions): Promise<OpenSession> {
  const { namespace } = options;
  const store = new RedisStore(options.redis, namespace);
  const limits = new ItemLimits();
  let session: Session | undefined;
  const pool = new LinkPool({
    fenceKey: namespace.fenceKey,
    mayFlush: () => session?.gateOpen() ?? true,
    connectTimeoutMs: options.connectTimeoutMs,
    timeoutMs: options.ioTimeoutMs,
    onDown: (node) => limits.forget(node),
  });
  try {
    const view = await firstView(store, pool, options.seed);
    session = new Session(
      { namespace, transport: pool, store, clock: systemClock, recorder: new Recorder(store), limits },
      view,
    );
    const stop = await keepUp(session, store, pool, options.caretaker ?? false);
    const close = async () => {
      await stop();
      await pool.close();
      await store.close();
    };
    return { session, pool, store, close };
  } catch (error) {
    await pool.close();
    await store.close();
    throw error;
  }
}

async function firstView(store: RedisStore, pool: LinkPool, seed: ManagedOptions["seed"]): Promise<View> {
  const askedAt = systemClock.now();
  let snapshot = await store.read();
  if (snapshot.document === null && seed !== undefined) {
    await seed(store, pool);
    snapshot = await store.read();
  }
  if (snapshot.document === null) {
    throw new RingshiftError(
      "NOT_INITIALISED",
      "Redis knows no cluster under this namespace: start one with `ringshift init ADDRESS...`, or give `servers`.",
    );
  }
  return new View(snapshot.document, snapshot.runId, askedAt);
}

/** Heartbeats and announcements until the returned function is called. */
async function keepUp(
  session: Session,
  store: RedisStore,
  pool: LinkPool,
  caretaker: boolean,
): Promise<() => Promise<void>> {
  const clientId = session.clock.randomId();
  let stopped = false;
  let beating: Promise<void> | undefined;
  let again = false;
  const beat = (): Promise<void> => {
    if (beating !== undefined) {
      again = true;
      return beating;
    }
    beating = heartbeat(session, store, clientId).finally(() => {
      beating = undefined;
      if (again && !stopped) {
        again = false;
        void beat();
      }
    });
    return beating;
  };
  session.onDrained = () => {
    if (!stopped) void beat();
  };
  session.onView = (view) => pool.retain(allNodes(view.document), RETIRE_MS);
  const timer = setInterval(() => {
    void beat().then(() => (caretaker && !stopped ? caretake(session, store) : undefined));
  }, HEARTBEAT_MS);
  await store.subscribe(() => {
    if (!stopped) void beat(); // also where a document of an unknown version is met
  });
  await beat();
  return async () => {
    stopped = true;
    clearInterval(timer);
    await beating;
    await store.unregister(clientId).catch(() => {}); // the registration ends by itself
  };
}

async function heartbeat(session: Session, store: RedisStore, clientId: string): Promise<void> {
  const askedAt = session.clock.now();
  const registration = { clientId, acknowledged: session.acknowledged };
  try {
    const seen = await store.heartbeat(registration, session.view.document.id);
    await session.observe(seen.document, seen.runId, askedAt);
  } catch (error) {
    if (!isRingshiftError(error)) throw error;
    if (error.code === "REDIS_UNREACHABLE") session.redisFailed();
    else session.refuse(error);
  }
}

export interface PlainOptions extends LinkTimes {
  readonly servers: readonly NodeRecord[];
  readonly namespace: Namespace;
  readonly compat: Compat;
  /** Serve although the server belongs to a managed cluster. */
  readonly unmanaged: boolean;
}

/** A session over servers without fences, index or change. @throws RingshiftError CLUSTER_MANAGED when a server that answers is managed */
export async function openPlain(options: PlainOptions): Promise<OpenSession> {
  const limits = new ItemLimits();
  const pool = new LinkPool({
    connectTimeoutMs: options.connectTimeoutMs,
    timeoutMs: options.ioTimeoutMs,
    onDown: (node) => limits.forget(node),
    handshake: options.unmanaged
      ? undefined
      : { commands: [metaGet(MANAGED_KEY)], check: ([reply]) => (reply?.status === "HD" ? managed() : undefined) },
  });
  const view = new View(plainDocument(options), "", 0, true);
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
  return { session, pool, store: undefined, close: () => pool.close() };
}

function managed(): RingshiftError {
  return new RingshiftError(
    "CLUSTER_MANAGED",
    "This server belongs to a ringshift cluster, and a client without Redis would go round its fences and index: give `redis`, or insist with `unmanaged: true`.",
  );
}

function plainDocument({ servers, compat }: PlainOptions): TopologyDocument {
  return {
    version: 1,
    id: "plain",
    epoch: 0,
    phase: "S",
    ring: { compat, hashTags: false },
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
