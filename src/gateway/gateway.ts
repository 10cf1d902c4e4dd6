/**
 * The gateway, put together: one process with two ports.
 *
 *   data port ──► data app ──► cache (client, session) ──► memcached
 *                    └─ headers ◄─ node watch, entry counter        (in the background)
 *   admin port ─► admin app ─► changes ──► Admin ──► migration
 *   ringshift.yaml ─► configured ──┘  ▲
 *   node watch ─► observer ───────────┘
 */
import type { Logger } from "pino";
import type { Loaded } from "../config/load.ts";
import { isRingshiftError } from "../errors.ts";
import { type Admin, openAdmin } from "../migration/admin.ts";
import { initCluster } from "../migration/init-cluster.ts";
import { NodeWatch, type WatchEvent } from "../observer/node-watch.ts";
import { Observer } from "../observer/observer.ts";
import { allNodes } from "../topology/document.ts";
import { EntryCounts } from "../topology/entry-counts.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { RedisStore } from "../topology/redis-store.ts";
import { createAdminApp } from "./admin/app.ts";
import { checkExposure } from "./admin/guard.ts";
import { type CacheHolder, openCacheHolder } from "./cache-holder.ts";
import { Changes } from "./changes.ts";
import { ClusterHeaders } from "./cluster-headers.ts";
import { Configured, toNewNode } from "./configured.ts";
import { createDataApp, malformedAnswer } from "./data/app.ts";
import { createDirectReads } from "./data/direct-read.ts";
import { EntryCounter } from "./entry-counter.ts";
import { EventLog } from "./event-log.ts";
import { listen } from "./http/listen.ts";
import { Traffic } from "./traffic.ts";

export interface GatewayOptions {
  readonly loaded: Loaded;
  /** Reads the configuration's sources anew, after a file has changed. */
  readonly reload: () => Promise<Loaded>;
  /** The admin port's bearer token; undefined: read-only. */
  readonly token: string | undefined;
  readonly logger: Logger;
}

export interface Gateway {
  /** `http://host:port` of each. */
  readonly dataUrl: string;
  readonly adminUrl: string;
  readonly log: EventLog;
  /** The configuration's files may have changed. For tests; the files are watched. */
  readonly configured: Configured;
  /** Lets requests in flight finish, stops a change at its next batch, closes everything. */
  close(): Promise<void>;
}

/** For answers of the admin port that waited for what was stopped, such as the report of a change, when the grace has been used up; in ms. */
const LAST_ANSWERS_MS = 250;

/** @throws RingshiftError INVALID_OPTION, NOT_INITIALISED, REDIS_UNREACHABLE, and what a server can be refused for; nothing is left open then */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  checkExposure({ host: options.loaded.settings.admin.host, token: options.token });
  const closers: Closers = [];
  try {
    return await open(options, closers);
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
}

/** What has been opened, to be closed in the opposite order. */
type Closers = (() => Promise<unknown>)[];

async function closeAll(closers: Closers): Promise<void> {
  for (const closer of closers.splice(0).reverse()) await closer();
}

async function open(options: GatewayOptions, closers: Closers): Promise<Gateway> {
  const { data, admin: adminAt } = options.loaded.settings;
  const parts = await openParts(options, closers);
  const { configured, observer, changes, log } = parts;
  let draining = false;
  const dataOptions = {
    cache: () => parts.cache.current,
    headers: headersOf(parts),
    maxBody: data.maxBodyBytes,
    onAnswer: answerCounter(parts, options.logger),
  };
  const adminParts = {
    ...parts,
    namespace: options.loaded.settings.namespace,
    cache: () => parts.cache.current,
    observing: () => observer.acting,
    draining: () => draining,
  };
  const guards = { host: adminAt.host, token: options.token, requestsPerSecond: adminAt.requestsPerSecond };
  const adminApp = createAdminApp(adminParts, guards);

  const dataPort = await listen(createDataApp(dataOptions), {
    ...data,
    name: "data",
    direct: createDirectReads(dataOptions),
    malformed: malformedAnswer(dataOptions),
  });
  closers.push(() => dataPort.close(0));
  const adminPort = await listen((request, env) => adminApp.app.fetch(request, env), { ...adminAt, name: "admin" });
  closers.push(() => adminPort.close(0));
  observer.start();
  closers.push(() => observer.stop());
  await configured.start();
  log.add("gateway", "info", `Serving on ${dataPort.url}, admin on ${adminPort.url}`);

  const drain = async () => {
    draining = true;
    const graceMs = configured.loaded.settings.timeouts.drainMs;
    const until = performance.now() + graceMs; // of both ports
    await Promise.all([configured.close(), observer.stop(), changes.close(), dataPort.close(graceMs)]);
    adminApp.events.close();
    await adminPort.close(Math.max(LAST_ANSWERS_MS, until - performance.now()));
    await closeAll(closers);
  };
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= drain();
    return closing;
  };
  return { dataUrl: dataPort.url, adminUrl: adminPort.url, log, configured, close };
}

interface Parts {
  readonly log: EventLog;
  readonly cache: CacheHolder;
  readonly admin: Admin;
  readonly changes: Changes;
  readonly counter: EntryCounter;
  readonly watch: NodeWatch;
  readonly configured: Configured;
  readonly observer: Observer;
  readonly traffic: Traffic;
}

/** Everything but the ports. */
async function openParts({ loaded, reload, logger }: GatewayOptions, closers: Closers): Promise<Parts> {
  const { redis, namespace } = loaded.settings;
  const { access } = loaded;
  const log = new EventLog();
  log.subscribe(({ level, source, text }) => logger[level]({ source }, text));
  if (loaded.nodes !== undefined)
    await initCluster(loaded.nodes.map(toNewNode), { redis, namespace, ...access, ifNeeded: true });
  const cache = await openCacheHolder({ ...loaded.settings, access });
  closers.push(() => cache.close());
  const admin = await openAdmin({ redis, namespace, ...access });
  closers.push(() => admin.close());
  const store = observerStore(redis, namespace);
  closers.push(() => store.close());

  const changes = new Changes({ admin, log, rate: () => settings().migration.keysPerSecond });
  const configured = new Configured({
    loaded,
    reload,
    log,
    present: async () => (await admin.topology()).nodes,
    underWay: () => admin.underWay(),
    apply: (change, again) => changes.run(change, "config", {}, again),
    onSettings: async (next, before) => {
      logger.level = next.settings.log.level;
      const same = JSON.stringify(next.settings.timeouts) === JSON.stringify(before.settings.timeouts);
      if (!same) await cache.replace({ ...loaded.settings, access, timeouts: next.settings.timeouts });
    },
  });
  const settings = () => configured.loaded.settings;
  const view = () => cache.current.session.view;
  const counter = new EntryCounter({ view, entries: new EntryCounts(store, namespaceOf(namespace)) });
  const watch = new NodeWatch({
    nodes: () => allNodes(view().document),
    intervalMs: () => settings().observer.intervalMs,
    access,
    onEvent: (event) => logNodeEvent(log, event),
  });
  await Promise.all([watch.start(), counter.start()]);
  closers.push(
    () => watch.stop(),
    () => counter.stop(),
  );
  const observer = new Observer({
    settings: () => settings().observer,
    spares: () => settings().spares.map(toNewNode),
    document: () => view().document,
    health: () => watch.nodes,
    probedAt: () => watch.roundAt,
    lock: (holder, ms) => store.lease(holder, ms),
    unlock: (holder) => store.releaseLease(holder),
    apply: (change) => changes.run(change, "observer"),
    onEvent: (level, text) => log.add("observer", level, text),
  });
  return { log, cache, admin, changes, counter, watch, configured, observer, traffic: new Traffic() };
}

function headersOf({ cache, watch, counter }: Parts): ClusterHeaders {
  return new ClusterHeaders({
    document: () => cache.current.session.view.document,
    available: (index) => watch.available(index),
    get healthVersion() {
      return watch.version;
    },
    get counts() {
      return counter.counts;
    },
    get countsVersion() {
      return counter.version;
    },
  });
}

/** Counts answers, notes nodes that were found down, logs. Never the key or the path. */
function answerCounter({ traffic, watch }: Parts, logger: Logger) {
  return (method: string, status: number, ms: number, error?: unknown, batch = false) => {
    traffic.count(method, status, ms, batch);
    if (error === undefined && !logger.isLevelEnabled("debug")) return;
    if (isRingshiftError(error, "NODE_DOWN") && error.node !== undefined) watch.failed(error.node);
    if (status === 500) logger.error({ err: error }, "a request failed");
    else logger.debug({ method, status, ms: Math.round(ms * 100) / 100 }, "request");
  };
}

/** The store of the namespace, with the observers' lock in the place of the coordinators' lease. */
function observerStore(redis: string, name: string): RedisStore {
  return new RedisStore(redis, { ...namespaceOf(name), lease: `ringshift:${name}:observer` });
}

function logNodeEvent(log: EventLog, event: WatchEvent): void {
  if (event.kind === "restarted") log.add("node", "warn", `${event.node} has restarted: what it held is gone`);
  else if (event.to !== "up") log.add("node", "warn", `${event.node} is ${event.to}`);
  else if (event.from !== "unknown") log.add("node", "info", `${event.node} is up`);
}
