/**
 * The exercise's client: POSTs key0 ... key99 with {"value": "value"}, reads the headers, GETs them back while the cluster grows from 3 to 5
 * servers. Directly, through the forward server, and through the one with the client inside; grown by the admin port, the command line, and
 * the observer. The exercise itself reports 5 to 15 % of failed reads.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { initCluster } from "../../src/migration/init-cluster.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { TOKEN } from "./gateway-support.ts";
import { type Served, serve } from "./serve-support.ts";

vi.setConfig({ testTimeout: 240_000 }); // programs and migrations, on a machine that may be busy

const KEYS = 100;
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let cluster: LocalCluster | undefined;
let served: Served | undefined;
let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ringshift-exercise-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
  }
  await served?.end("SIGTERM");
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Grown {
  readonly cluster: LocalCluster;
  readonly served: Served;
  /** The servers that are to join: the gateway's spares. */
  readonly joining: readonly string[];
  /** ringshift.yaml of the gateway. */
  readonly file: string;
}

/** How the two servers come in. */
const WAYS: Readonly<Record<string, (all: Grown) => Promise<void>>> = {
  "the admin port": async ({ served: { admin }, joining }) => {
    const response = await fetch(`${admin}/api/nodes?wait=true`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify({ nodes: joining }),
    });
    expect([response.status, await response.json()]).toEqual([200, expect.anything()]);
  },
  "ringshift add-node": async ({ cluster: { redis }, joining }) => {
    for (const address of joining) {
      await promisify(execFile)(process.execPath, [MAIN, "--redis", redis.url, "add-node", "--yes", address]);
    }
  },
  "the observer": async ({ file }) => writeFileSync(file, readFileSync(file, "utf8").replace("report", "scale")),
};

/** By these an observer that may act finds the cluster full from the first byte on. */
const settings = (joining: readonly string[]) => `
spares: [${joining.map((address) => `"${address}"`).join(", ")}]
observer: { policy: report, intervalMs: 100, memoryShare: 0, outAfterSeconds: 0.1, coolDownSeconds: 0.1 }
`;

test.each(Object.keys(WAYS))("no request fails while %s grows the cluster from 3 to 5", async (way) => {
  cluster = await LocalCluster.start();
  const { redis, servers } = cluster;
  await initCluster(
    servers.map((address) => ({ address })),
    { redis: redis.url },
  );
  const joining = [(await cluster.addMemcached()).address, (await cluster.addMemcached()).address];
  const file = join(folder, "ringshift.yaml");
  writeFileSync(file, settings(joining));
  served = await serve(["--redis", redis.url, "--config", file]);
  const forward = await example("forward.mjs", { GATEWAY_URL: served.data });
  const embedded = await example("embedded.mjs", { RINGSHIFT_REDIS: redis.url });

  for (const body of ["null", "{}", "1", "{"])
    expect((await fetch(`${embedded}/none`, { method: "POST", body })).status).toBe(400);
  const clients = [new ExerciseClient(served.data, 4), new ExerciseClient(forward, 4), new ExerciseClient(embedded, 3)];
  await Promise.all(clients.map((client) => client.write()));
  const reading = clients.map((client) => client.readUntilNodes(5));
  await WAYS[way]!({ cluster, served, joining, file });
  await Promise.all(reading);
  for (const client of clients) {
    expect(client.errors).toEqual([]);
    expect(client.requests).toBeGreaterThanOrEqual(3 * KEYS);
    expect(client.indexes).toBe("0,1,2,3,4");
  }
  expect(clients[1]!.distribution.split(",").map((pair) => pair.split(":")[0])).toEqual(["0", "1", "2", "3", "4"]);
});

/** The client as the exercise describes it. */
class ExerciseClient {
  readonly #base: string;
  /** How many of the four headers the server gives: counting keys is the gateway's. */
  readonly #headers: number;
  readonly errors: string[] = [];
  requests = 0;
  indexes = "";
  distribution = "";

  constructor(base: string, headers: number) {
    this.#base = base;
    this.#headers = headers;
  }

  async write(): Promise<void> {
    for (let i = 0; i < KEYS; i++) {
      const headers = { "content-type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify({ value: "value" }) };
      await this.#send(i, init, 201, undefined);
    }
  }

  /** Reads all keys again and again until so many nodes serve, and once more then. */
  async readUntilNodes(count: number): Promise<void> {
    for (let grown = false; !grown; ) {
      grown = this.indexes.split(",").length === count;
      for (let i = 0; i < KEYS; i++) await this.#send(i, {}, 200, '{"value":"value"}');
    }
  }

  async #send(i: number, init: RequestInit, status: number, body: string | undefined): Promise<void> {
    this.requests++;
    const response = await fetch(`${this.#base}/key${i}`, init);
    const text = await response.text();
    const { headers } = response;
    if (response.status !== status || (body !== undefined && text !== body)) {
      this.errors.push(`${init.method ?? "GET"} key${i}: ${response.status} ${text}`);
    }
    this.indexes = headers.get("x-cacheserver-indexes") ?? "";
    const indexes = this.indexes.split(",");
    if (headers.get("x-cacheserver-count") !== String(indexes.length)) this.errors.push(`count is not ${this.indexes}`);
    if (!indexes.includes(headers.get("x-cacheserver-index") ?? "")) this.errors.push(`served by none of ${indexes}`);
    if (this.#headers < 4) return;
    this.distribution = headers.get("x-ring-distribution") ?? "";
    if (!/^\d+:\d+(?:,\d+:\d+)*$/.test(this.distribution)) this.errors.push(`distribution ${this.distribution}`);
  }
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
