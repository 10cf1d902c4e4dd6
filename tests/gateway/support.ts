/** A data port without a port, over real servers. */
import { afterAll, beforeAll } from "vitest";
import { type Cache, openCache } from "../../src/gateway/cache.ts";
import { ClusterHeaders } from "../../src/gateway/cluster-headers.ts";
import { createDataApp, type DataAppOptions } from "../../src/gateway/data/app.ts";
import { EntryCounter } from "../../src/gateway/entry-counter.ts";
import type { Env, Handler } from "../../src/gateway/http/request.ts";
import { initCluster } from "../../src/migration/init-cluster.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { EntryCounts } from "../../src/topology/entry-counts.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";

export interface DataPort {
  readonly cluster: LocalCluster;
  readonly cache: Cache;
  readonly counter: EntryCounter;
  /** Indexes that count as down. */
  readonly down: Set<number>;
  /** What the handler was made of. */
  readonly options: DataAppOptions;
  readonly handler: Handler;
  /** A request whose target goes as written, as from a socket. */
  send(
    method: string,
    target: string,
    init?: { body?: string | Buffer; headers?: Record<string, string> },
  ): Promise<Response>;
}

/** Before the file's tests: three servers, a Redis, the data port; gone after them. */
export function useDataPort(): DataPort {
  const port = { down: new Set<number>() } as { -readonly [K in keyof DataPort]: DataPort[K] };
  let store: RedisStore;
  beforeAll(async () => {
    port.cluster = await LocalCluster.start();
    const redis = port.cluster.redis.url;
    await initCluster(
      port.cluster.servers.map((address) => ({ address })),
      { redis },
    );
    const cache = await openCache({ redis });
    store = new RedisStore(redis, namespaceOf(undefined));
    const counter = new EntryCounter({
      view: () => cache.session.view,
      entries: new EntryCounts(store, namespaceOf(undefined)),
    });
    const headers = new ClusterHeaders({
      document: () => cache.session.view.document,
      available: (index) => !port.down.has(index),
      get healthVersion() {
        return port.down.size;
      },
      get counts() {
        return counter.counts;
      },
      get countsVersion() {
        return counter.version;
      },
    });
    port.cache = cache;
    port.counter = counter;
    port.options = { cache: () => cache, headers, maxBody: 4 * 2 ** 20 };
    port.handler = createDataApp(port.options);
    port.send = async (method, target, { body, headers = {} } = {}) => {
      const length: Record<string, string> =
        body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
      const request = new Request("http://gateway.test/", {
        method,
        headers: { ...length, ...headers },
        ...(body === undefined ? {} : { body: body as string | Uint8Array<ArrayBuffer> }),
      });
      return port.handler(request, { incoming: { url: target } } as unknown as Env);
    };
  });
  afterAll(async () => {
    await port.cache?.close();
    await store?.close();
    await port.cluster?.stop();
  });
  return port;
}

/** Stores a JSON value under the key that is the target, as `{"value": ...}`. */
export const postTo =
  (port: DataPort) =>
  (target: string, value: unknown, headers = {}) =>
    port.send("POST", target, { body: JSON.stringify({ value }), headers });

export const json = async (response: Response) => (await response.json()) as Record<string, unknown>;
