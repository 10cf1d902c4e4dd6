/**
 * Opens a session of this process: connections, the first view, heartbeats, announcements. A client and an operator's command have one
 * each. Without Redis: a view that never changes over servers without fences (a plain ketama client).
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { Recorder } from "../keyindex/recorder.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { metaGet } from "../memcached/commands.ts";
import { ItemLimits } from "../memcached/item-limits.ts";
import { MANAGED_KEY } from "../memcached/key.ts";
import { LinkPool, type PoolHealth } from "../memcached/pool.ts";
import type { Endpoint } from "../memcached/transport.ts";
import { caretake } from "../protocol/caretaker.ts";
import { Session, type WhenIndexDown } from "../protocol/session.ts";
import { systemClock } from "../protocol/system-clock.ts";
import { View } from "../protocol/view.ts";
import { DirtyKeys } from "../topology/dirty-keys.ts";
import { allNodes, type Compat, type NodeRecord, type TopologyDocument } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import { RedisStore } from "../topology/redis-store.ts";
import type { TopologyStore } from "../topology/store.ts";
import { type OnRejoin, Rejoin } from "./rejoin.ts";

/** Between two heartbeats; the poll that finds what an announcement has missed. */
const HEARTBEAT_MS = 1_000;
/** Links to servers that have left close after this: stragglers of an older epoch may still need them. */
const RETIRE_MS = 35_000;

export interface LinkTimes {
  readonly connectTimeoutMs?: number | undefined;
  /** Per flush: a connection that does not answer within it is destroyed. */
  readonly ioTimeoutMs?: number | undefined;
  readonly access?: ServerAccess | undefined;
  readonly health?: HealthOptions | undefined;
  /** Commands waiting and in flight per connection. */
  readonly queueLimit?: number | undefined;
}

/** What a session does about servers that do not answer. */
export interface HealthOptions {
  /** Connections in a row that came to nothing until a server is down. */
  readonly downAfter: number;
  /** Undefined: a server that is back serves as it is. */
  readonly onRejoin: OnRejoin | undefined;
}

/** Who is told, to be set by whoever opened the session. */
export interface NodeHealth {
  readonly rejoin: Rejoin | undefined;
  onDown: (node: Endpoint, error: RingshiftError) => void;
  onUp: (node: Endpoint) => void;
}

export interface OpenSession {
  readonly session: Session;
  readonly pool: LinkPool;
  /** Undefined without Redis. */
  readonly store: RedisStore | undefined;
  /** Undefined where servers are never marked down. */
  readonly health?: NodeHealth | undefined;
  close(): Promise<void>;
}

export interface ManagedOptions extends LinkTimes {
  readonly redis: string;
  readonly namespace: Namespace;
  /** Helps a cluster without an operator along (ends of settling, confirmations). Off for one-shot commands. */
  readonly caretaker?: boolean | undefined;
  readonly whenIndexDown?: WhenIndexDown | undefined;
  /** Of one Redis command, in ms. Default 1000: a client goes on without Redis then. */
  readonly redisTimeoutMs?: number | undefined;
  /** Starts the cluster when Redis does not know it yet. */
  readonly seed?: ((store: RedisStore, pool: LinkPool) => Promise<void>) | undefined;
}

/** @throws RingshiftError NOT_INITIALISED, REDIS_UNREACHABLE, UNSUPPORTED_DOCUMENT, and what `seed` throws */
export async function openManaged(options: ManagedOptions): Promise<OpenSession> {
  const { namespace } = options;
  const store = new RedisStore(options.redis, namespace, options.redisTimeoutMs);
  const limits = new ItemLimits({ access: options.access });
  const health = options.health && healthOf(options.health, namespace, new DirtyKeys(store, namespace));
  let session: Session | undefined;
  const pool = new LinkPool({
    fenceKey: namespace.fenceKey,
    mayFlush: () => session?.gateOpen() ?? true,
    connectTimeoutMs: options.connectTimeoutMs,
    timeoutMs: options.ioTimeoutMs,
    access: options.access,
    queueLimit: options.queueLimit,
    onDown: (node) => limits.forget(node),
    health: options.health && health && poolHealth(options.health, health),
  });
  health?.rejoin?.attach(pool);
  try {
    const view = await firstView(store, pool, options.seed);
    session = new Session(
      {
        namespace,
        transport: pool,
        store,
        clock: systemClock,
        recorder: new Recorder(store),
        limits,
        whenIndexDown: options.whenIndexDown,
      },
      view,
    );
    const stop = await keepUp(session, store, pool, options.caretaker ?? false, health?.rejoin);
    const close = async () => {
      await stop();
      await store.close();
    };
    return { session, pool, store, health, close };
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
  rejoin: Rejoin | undefined,
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
  let caring: Promise<void> | undefined;
  const care = (): Promise<void> => {
    caring ??= caretake(session, store).finally(() => {
      caring = undefined;
    });
    return caring;
  };
  const poll = () => rejoin?.poll(allNodes(session.view.document)).catch(unlessUnreachable);
  const timer = setInterval(() => {
    void poll();
    void beat().then(() => (caretaker && !stopped ? care() : undefined));
  }, HEARTBEAT_MS);
  store.subscribe(() => {
    if (!stopped) void beat(); // also where a document of an unknown version is met
  });
  await Promise.all([beat(), poll()]);
  return async () => {
    stopped = true;
    clearInterval(timer);
    await beating;
    await pool.close(); // what is in flight ends before the registration does
    await store.unregister(clientId).catch(() => {}); // it would end by itself
  };
}

function healthOf({ onRejoin }: HealthOptions, namespace: Namespace, dirty: DirtyKeys | undefined): NodeHealth {
  const rejoin = onRejoin && new Rejoin(onRejoin, namespace, dirty);
  return { rejoin, onDown: () => {}, onUp: () => {} };
}

function poolHealth({ downAfter }: HealthOptions, health: NodeHealth): PoolHealth {
  const { rejoin } = health;
  return {
    downAfter,
    onRejoin: rejoin && ((node, exchange) => rejoin.readmit(node, exchange)),
    onDown: (node, error) => health.onDown(node, error),
    onUp: (node) => health.onUp(node),
  };
}

function unlessUnreachable(error: unknown): void {
  if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error; // the next poll finds it
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
  readonly hashTags: boolean;
  /** Serve although the server belongs to a managed cluster. */
  readonly unmanaged: boolean;
}

/** A session over servers without fences, index or change. @throws RingshiftError CLUSTER_MANAGED when a server that answers is managed */
export async function openPlain(options: PlainOptions): Promise<OpenSession> {
  const limits = new ItemLimits({ access: options.access });
  const health = options.health && healthOf(options.health, options.namespace, undefined);
  const pool = new LinkPool({
    connectTimeoutMs: options.connectTimeoutMs,
    timeoutMs: options.ioTimeoutMs,
    access: options.access,
    queueLimit: options.queueLimit,
    onDown: (node) => limits.forget(node),
    health: options.health && health && poolHealth(options.health, health),
    handshake: options.unmanaged
      ? undefined
      : { commands: [metaGet(MANAGED_KEY)], check: ([reply]) => (reply?.status === "HD" ? managed() : undefined) },
  });
  health?.rejoin?.attach(pool);
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
  return { session, pool, store: undefined, health, close: () => pool.close() };
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
