/**
 * Opens a session of this process: connections, the first view, heartbeats, announcements. A client and an operator's command have one
 * each. Without Redis: plain-session.ts.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { Recorder } from "../keyindex/recorder.ts";
import { ItemLimits } from "../memcached/item-limits.ts";
import { LinkPool, type LinkPoolOptions } from "../memcached/pool.ts";
import { caretake } from "../protocol/caretaker.ts";
import { heartbeat } from "../protocol/heartbeat.ts";
import { Session, type WhenIndexDown } from "../protocol/session.ts";
import { systemClock } from "../protocol/system-clock.ts";
import { prepareRings, View } from "../protocol/view.ts";
import { DirtyKeys } from "../topology/dirty-keys.ts";
import { allNodes } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import { RedisStore } from "../topology/redis-store.ts";
import { type HealthOptions, healthOf, type NodeHealth, poolHealth } from "./health.ts";
import type { Rejoin } from "./rejoin.ts";

/** Between two heartbeats; the poll that finds what an announcement has missed. */
const HEARTBEAT_MS = 1_000;
/** Links to servers that have left close after this: stragglers of an older epoch may still need them. */
const RETIRE_MS = 35_000;

/** Tries to read the topology before an open fails, each as long as one Redis command may take. */
const FIRST_READS = 3;

export interface LinkTimes extends Pick<LinkPoolOptions, "access" | "connections" | "protocol"> {
  readonly connectTimeoutMs?: number | undefined;
  /** Per flush: a connection that does not answer within it is destroyed. */
  readonly ioTimeoutMs?: number | undefined;
  readonly health?: HealthOptions | undefined;
  /** Commands waiting and in flight per connection. */
  readonly queueLimit?: number | undefined;
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
  const limits = new ItemLimits({ access: options.access }, options.protocol);
  const health = options.health && healthOf(options.health, namespace, new DirtyKeys(store, namespace));
  let session: Session | undefined;
  const pool = new LinkPool({
    fenceKey: namespace.fenceKey,
    mayFlush: () => session?.gateOpen() ?? true,
    connectTimeoutMs: options.connectTimeoutMs,
    timeoutMs: options.ioTimeoutMs,
    access: options.access,
    connections: options.connections,
    protocol: options.protocol,
    queueLimit: options.queueLimit,
    onDown: (node) => limits.forget(node),
    health: options.health && health && poolHealth(options.health, health),
  });
  health?.rejoin?.attach(pool);
  try {
    const view = await firstView(store, pool, options);
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
      limits.close();
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

/** A program that has just started is busy with itself, and so may its machine be: Redis gets more than one chance. */
async function firstRead(store: RedisStore, most: number) {
  for (let tries = 1; ; tries++) {
    const askedAt = systemClock.now();
    try {
      return { snapshot: await store.read(), askedAt };
    } catch (error) {
      if (tries === most || !isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
    }
  }
}

async function firstView(store: RedisStore, pool: LinkPool, { seed, redisTimeoutMs }: ManagedOptions): Promise<View> {
  // an operator's command has a time of its own for Redis, and its user waits
  let { snapshot, askedAt } = await firstRead(store, redisTimeoutMs === undefined ? FIRST_READS : 1);
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
  await prepareRings(snapshot.document);
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
    beating = heartbeat(session, clientId).finally(() => {
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
    // also where a document of an unknown version is met; an F is cared for from here on, not from the next heartbeat
    if (!stopped) void beat().then(() => (caretaker && !stopped ? care() : undefined));
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

function unlessUnreachable(error: unknown): void {
  if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error; // the next poll finds it
}
