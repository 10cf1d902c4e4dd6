/** The embedded client, exchanged under traffic when its times change: options of a client are those it was opened with. */
import type { Settings } from "../config/schema.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { type Cache, openCache } from "./cache.ts";

/** What was replaced is closed after this, in ms: its requests have ended by then. */
const RETIRE_MS = 10_000;

export interface CacheSettings extends Pick<Settings, "redis" | "namespace" | "timeouts"> {
  readonly access: ServerAccess;
}

export interface CacheHolder {
  readonly current: Cache;
  /** Requests from now on go by the settings. @throws RingshiftError as `openCache`; the present one stays then */
  replace(settings: CacheSettings): Promise<void>;
  close(): Promise<void>;
}

/** @throws RingshiftError as `openCache` */
export async function openCacheHolder(settings: CacheSettings): Promise<CacheHolder> {
  let current = await openWith(settings);
  const retired = new Map<Cache, NodeJS.Timeout>();
  return {
    get current() {
      return current;
    },
    async replace(next) {
      const before = current;
      current = await openWith(next);
      const end = () => {
        retired.delete(before);
        void before.close();
      };
      retired.set(before, setTimeout(end, RETIRE_MS).unref());
    },
    async close() {
      for (const timer of retired.values()) clearTimeout(timer);
      await Promise.all([current, ...retired.keys()].map((cache) => cache.close()));
    },
  };
}

function openWith({ redis, namespace, timeouts, access }: CacheSettings): Promise<Cache> {
  return openCache({
    redis,
    namespace,
    access,
    timeoutMs: timeouts.operationMs,
    connectTimeoutMs: timeouts.connectMs,
    ioTimeoutMs: timeouts.ioMs,
  });
}
