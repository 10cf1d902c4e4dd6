/** The exercise's client: 100 keys written, read back while the cluster grows from 3 to 5, directly and through the forward servers. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { initCluster } from "../../src/migration/init-cluster.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { TOKEN } from "./gateway-support.ts";
import { type Served, serve } from "./serve-support.ts";

let cluster: LocalCluster;
let served: Served;
const children: ChildProcess[] = [];

beforeAll(async () => {
  cluster = await LocalCluster.start();
  await initCluster(
    cluster.servers.map((address) => ({ address })),
    { redis: cluster.redis.url },
  );
  served = await serve(["--redis", cluster.redis.url]);
});
afterAll(async () => {
  for (const child of children) {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  await served?.end("SIGTERM");
  await cluster?.stop();
});

test("no read fails while the cluster grows from 3 to 5, and back", async () => {
  const forward = await example("forward.mjs", { GATEWAY_URL: served.data });
  const embedded = await example("embedded.mjs", { RINGSHIFT_REDIS: cluster.redis.url });
  const bases = [served.data, forward, embedded];
  for (const base of bases) await write(base);

  const joining = [(await cluster.addMemcached()).address, (await cluster.addMemcached()).address];
  const failures: string[] = [];
  let reads = 0;
  let stop = false;
  const readers = bases.map(async (base) => {
    for (let i = 0; !stop || i % 100 !== 0; i++) {
      const failure = await readBack(base, i % 100);
      if (failure !== undefined) failures.push(failure);
      reads++;
    }
  });
  await change("POST", "/api/nodes", { nodes: joining });
  await change("DELETE", `/api/nodes/${encodeURIComponent(joining[0]!)}`);
  stop = true;
  await Promise.all(readers);
  expect(failures).toEqual([]);
  expect(reads).toBeGreaterThan(300);

  const { headers } = await fetch(`${forward}/key0`);
  expect(headers.get("x-cacheserver-count")).toBe("4");
  expect(headers.get("x-cacheserver-indexes")).toBe("0,1,2,4"); // 3 has left, and is never used again
});

async function write(base: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const response = await fetch(`${base}/key${i}`, { method: "POST", body: '{"value": "value"}' });
    expect(response.status).toBe(201);
    for (const name of ["x-cacheserver-index", "x-cacheserver-count", "x-cacheserver-indexes"])
      expect(response.headers.has(name)).toBe(true);
    await response.arrayBuffer();
  }
}

/** What was wrong with the answer, if anything was. */
async function readBack(base: string, i: number): Promise<string | undefined> {
  const response = await fetch(`${base}/key${i}`);
  const body = await response.text();
  const indexes = response.headers.get("x-cacheserver-indexes")?.split(",") ?? [];
  if (response.status !== 200 || body !== '{"value":"value"}') return `${base}/key${i}: ${response.status} ${body}`;
  if (indexes.length !== Number(response.headers.get("x-cacheserver-count")))
    return `${base}: ${indexes} are not as many as it says`;
  return undefined;
}

async function change(method: string, path: string, body?: unknown): Promise<void> {
  const response = await fetch(`${served.admin}${path}?wait=true`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect([response.status, await response.json()]).toEqual([200, expect.anything()]);
}

/** Starts one of the example's programs; its URL. */
async function example(name: string, env: Record<string, string>): Promise<string> {
  const file = fileURLToPath(new URL(`../../examples/forward-server/${name}`, import.meta.url));
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, FORWARD_PORT: "0", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
    if (url !== undefined) return url;
  }
  throw new Error(`${name} ended before it listened`);
}
