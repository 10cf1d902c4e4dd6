import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAdminApp } from "../../src/gateway/admin/app.ts";
import { checkExposure } from "../../src/gateway/admin/guard.ts";
import { openApi } from "../../src/gateway/admin/openapi.ts";
import { RateLimiter } from "../../src/gateway/admin/rate-limiter.ts";
import { EventLog } from "../../src/gateway/event-log.ts";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { Traffic } from "../../src/gateway/traffic.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { admin, start, TOKEN } from "./gateway-support.ts";

let cluster: LocalCluster;
let gateway: Gateway;
let readOnly: Gateway;

beforeAll(async () => {
  cluster = await LocalCluster.start();
  const flags = { nodes: cluster.servers.map((address) => ({ address })), "admin.requestsPerSecond": 1000 };
  gateway = await start(cluster, { flags });
  readOnly = await start(cluster, { flags, token: undefined });
  for (let i = 0; i < 200; i++) {
    await fetch(`${gateway.dataUrl}/key${i}`, { method: "POST", body: JSON.stringify({ value: i }) });
  }
});
afterAll(async () => {
  await readOnly?.close();
  await gateway?.close();
  await cluster?.stop();
});

const CHANGES = [
  ["POST", "/api/nodes", { nodes: ["127.0.0.1:1"] }],
  ["DELETE", "/api/nodes/x", undefined],
  ["PATCH", "/api/nodes/x", { weight: 2 }],
  ["POST", "/api/migration/pause", undefined],
  ["POST", "/api/migration/resume", undefined],
  ["POST", "/api/migration/abort", undefined],
  ["POST", "/api/migration/abandon", { node: "x" }],
  ["POST", "/api/plan", { kind: "add-node", nodes: ["127.0.0.1:1"] }],
] as const;

describe("who may change", () => {
  test.each(CHANGES)("%s %s needs the token", async (method, path, body) => {
    for (const authorization of [
      "",
      "Bearer",
      "Bearer wrong-token-of-some-length",
      `Basic ${TOKEN}`,
      `Bearer ${TOKEN}x`,
    ]) {
      const { status, body: problem, headers } = await admin(gateway, method, path, body, { authorization });
      expect([status, problem.code]).toEqual([401, "UNAUTHORIZED"]);
      expect(headers.get("www-authenticate")).toContain("Bearer");
    }
    const { status, body: problem } = await admin(readOnly, method, path, body);
    expect([status, problem.code]).toEqual([403, "FORBIDDEN"]);
  });

  test.each(CHANGES)(
    "%s %s with a query parameter that it does not take begins nothing",
    async (method, path, body) => {
      const { status, body: problem } = await admin(gateway, method, `${path}?ded=true`, body);
      expect([status, problem.code]).toEqual([400, "INVALID_OPTION"]);
      expect(problem.detail).toContain("ded");
      expect((await admin(gateway, "GET", "/api/migration")).body).toMatchObject({ phase: "S", migration: null });
    },
  );

  test("a port that others can reach is not opened without a token", async () => {
    for (const host of ["0.0.0.0", "::", "192.168.0.1", "example.org"]) {
      expect(() => checkExposure({ host, token: undefined })).toThrow("RINGSHIFT_ADMIN_TOKEN");
      expect(() => checkExposure({ host, token: TOKEN })).not.toThrow();
    }
    for (const host of ["127.0.0.1", "localhost", "::1"])
      expect(() => checkExposure({ host, token: undefined })).not.toThrow();
    expect(() => checkExposure({ host: "127.0.0.1", token: "short" })).toThrow("16 characters");
    for (const token of ["a token of several words", "a-token-with-ümlauts"])
      expect(() => checkExposure({ host: "127.0.0.1", token })).toThrow("no Authorization header");
    await expect(start(cluster, { flags: { "admin.host": "0.0.0.0" }, token: undefined })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });

  test("pages of other sites may not, nor names that were made to point here", async () => {
    const foreign = [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }];
    for (const headers of foreign) {
      expect((await admin(gateway, "GET", "/api/state", undefined, headers)).status).toBe(403);
      expect((await admin(gateway, "PATCH", "/api/nodes/x", { weight: 2 }, headers)).status).toBe(403);
    }
    expect(await statusWithHost("evil.example")).toBe(403);
    expect(await statusWithHost("localhost:9999")).toBe(200);
  });

  test("so many requests a second from one address", async () => {
    const limiter = new RateLimiter(10);
    const taken = (n: number, at: number) =>
      Array.from({ length: n }, () => limiter.take("a", at)).filter(Boolean).length;
    expect(taken(30, 0)).toBe(20);
    expect(limiter.take("b", 0)).toBe(true);
    expect(taken(30, 500)).toBe(5);
    const busy = await start(cluster, { flags: { "admin.requestsPerSecond": 1 } });
    const statuses = await Promise.all(
      Array.from({ length: 10 }, async () => (await fetch(`${busy.adminUrl}/healthz`)).status),
    );
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(3);
    expect(statuses).toContain(429);
    await busy.close();
  });

  test("a body has a limit", async () => {
    const { status } = await admin(gateway, "POST", "/api/plan", { kind: "x".repeat(70_000) });
    expect(status).toBe(413);
  });
});

describe("reading", () => {
  test("state, nodes and topology", async () => {
    const { body: state } = await admin(readOnly, "GET", "/api/state");
    expect(state).toMatchObject({ phase: "S", migration: null, confirmed: true, namespace: "default" });
    const nodes = state.nodes as {
      entries: number;
      realShare: number;
      expectedShare: number;
      points: number;
      state: string;
    }[];
    expect(nodes.map((node) => [node.state, node.points])).toEqual([
      ["up", 160],
      ["up", 160],
      ["up", 160],
    ]);
    expect(nodes.reduce((sum, node) => sum + node.expectedShare, 0)).toBeCloseTo(1);
    const { body: topology } = await admin(readOnly, "GET", "/api/topology");
    expect(topology).toMatchObject({ version: 1, phase: "S" });
  });

  test("ring, points and locate agree", async () => {
    const { body: ring } = await admin(readOnly, "GET", "/api/ring");
    const { arcs, nodes, points } = ring as {
      arcs: [number, number, number][];
      nodes: { name: string; share: number }[];
      points: number;
    };
    expect(points).toBe(480);
    expect([arcs[0]![0], arcs.at(-1)![1]]).toEqual([-1, 2 ** 32 - 1]);
    for (const [i, [from]] of arcs.entries()) if (i > 0) expect(from).toBe(arcs[i - 1]![1]);
    const share = (place: number) =>
      arcs.filter((arc) => arc[2] === place).reduce((sum, [from, to]) => sum + to - from, 0) / 2 ** 32;
    for (const [place, node] of nodes.entries()) expect(share(place)).toBeCloseTo(node.share, 6);
    const { body: located } = await admin(readOnly, "GET", "/api/locate?key=key1&key=key2");
    const places = located.keys as { node: string; point: number }[];
    for (const { node, point } of places) {
      const own = (await admin(readOnly, "GET", `/api/points?node=${encodeURIComponent(node)}`)).body
        .points as number[];
      expect(own).toHaveLength(160);
      expect(own).toContain(point);
      expect(arcs.find(([from, to]) => from < point && point <= to)?.[2]).toBe(
        nodes.findIndex((one) => one.name === node),
      );
    }
    expect((await admin(readOnly, "GET", "/api/points?node=nobody")).body).toMatchObject({ code: "NODE_UNKNOWN" });
    expect((await admin(readOnly, "GET", "/api/locate?key=a%20b")).body).toMatchObject({ code: "INVALID_KEY" });
  });

  test("health, readiness and metrics without keys", async () => {
    expect((await admin(readOnly, "GET", "/healthz")).body).toEqual({ status: "ok" });
    expect((await admin(readOnly, "GET", "/readyz")).body).toEqual({ status: "ready" });
    const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(text).toContain('ringshift_http_requests_total{method="POST",status="201"} 200');
    expect(text).toMatch(/ringshift_http_request_seconds_count\{method="POST"\} 200/);
    expect(text).toContain('ringshift_http_request_seconds_bucket{method="POST",le="+Inf"} 200');
    expect(text).toContain(`ringshift_node_up{node="${cluster.servers[0]}"} 1`);
    expect(text).not.toMatch(/key\d/);
  });

  test("a batch is no hit, whatever is missing in it", async () => {
    const totals = async () =>
      (await admin(gateway, "GET", "/api/state")).body.traffic as Record<"requests" | "hits" | "misses", number>;
    const before = await totals();
    const ask = (path: string, init?: RequestInit) => fetch(`${gateway.dataUrl}${path}`, init).then((r) => r.text());
    await ask("/?key=nobody-a&key=nobody-b");
    await ask("/?key=key1", { method: "HEAD" });
    await ask("/", { method: "POST", body: JSON.stringify({ get: ["key1"] }) });
    expect(await totals()).toEqual({ ...before, requests: before.requests + 3 });
    const etag = (await fetch(`${gateway.dataUrl}/key1`)).headers.get("etag")!;
    await ask("/key1", { method: "HEAD" });
    await ask("/key1", { headers: { "if-none-match": etag } });
    await ask("/nobody");
    const { hits, misses } = await totals();
    expect([hits - before.hits, misses - before.misses]).toEqual([3, 1]);
    const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(text).toContain(`ringshift_http_reads_total{result="hit"} ${hits}`);
    expect(text).toContain(`ringshift_http_reads_total{result="miss"} ${misses}`);
  });

  test("the dashboard's security headers allow no inline script and no frame", async () => {
    const { headers } = await fetch(`${gateway.adminUrl}/`);
    const policy = headers.get("content-security-policy")!;
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    for (const name of ["uplot.js", "uplot.css", "styles.css"])
      expect((await fetch(`${gateway.adminUrl}/assets/${name}`)).status).toBe(200);
    for (const name of ["..%2fcli%2fmain.js", "nothing.js", "x.json", "__proto__"]) {
      expect((await fetch(`${gateway.adminUrl}/assets/${name}`)).status).toBe(404);
    }
  });
});

describe("changing", () => {
  test("a plan changes nothing", async () => {
    const { body } = await admin(readOnly, "POST", "/api/plan", {
      kind: "set-vnodes",
      name: cluster.servers[0],
      vnodes: 80,
    });
    expect(body).toMatchObject({ command: `set-vnodes ${cluster.servers[0]} 80`, setsTotal: 480 });
    expect((await admin(readOnly, "GET", "/api/topology")).body).toMatchObject({ epoch: 0 });
  });

  test.each([
    ["POST", "/api/nodes", { nodes: ["nonsense:host:1"] }, 400, "NODE_ADDRESS"],
    ["POST", "/api/nodes", { nodes: [] }, 400, "INVALID_OPTION"],
    ["POST", "/api/nodes", { nodes: ["127.0.0.1:1"] }, 503, "NODE_DOWN"],
    ["DELETE", "/api/nodes/nobody", undefined, 404, "NODE_UNKNOWN"],
    ["PATCH", "/api/nodes/nobody", { weight: 2 }, 404, "NODE_UNKNOWN"],
    ["PATCH", "/api/nodes/nobody", { weight: 2, vnodes: 3 }, 400, "INVALID_OPTION"],
    ["PATCH", "/api/nodes/nobody", { wieght: 2 }, 400, "INVALID_OPTION"],
    ["POST", "/api/plan", { kind: "guess" }, 400, "INVALID_OPTION"],
    ["POST", "/api/migration/pause", undefined, 400, "INVALID_OPTION"],
    ["GET", "/api/nothing", undefined, 404, "NOT_FOUND"],
    ["PUT", "/api/nodes/x", undefined, 405, "METHOD_NOT_ALLOWED"],
    ["POST", "/api/nodes", { nodes: ["127.0.0.1:1", "127.0.0.1:1"] }, 409, "NODE_EXISTS"],
    ["GET", "/api/locate?key=%f", undefined, 400, "INVALID_KEY"],
  ])("%s %s %j is refused", async (method, path, body, status, code) => {
    const response = await admin(gateway, method, path, body);
    expect([response.status, response.body.code]).toEqual([status, code]);
  });

  test("of a path that there is another method is a 405 that says which it takes", async () => {
    const allow = async (method: string, path: string) => (await admin(gateway, method, path)).headers.get("allow");
    expect(await allow("POST", "/api/state")).toBe("GET, HEAD");
    expect(await allow("PUT", "/api/nodes")).toBe("GET, HEAD, POST");
    expect(await allow("GET", "/api/nodes/x")).toBe("DELETE, PATCH");
    expect(await allow("GET", "/api/nodes/x/y")).toBeNull();
  });

  test("a server joins, changes its vnodes and leaves, with every key readable", async () => {
    const added = await cluster.addMemcached();
    const begun = await admin(gateway, "POST", "/api/nodes", { nodes: [added.address] });
    expect([begun.status, begun.headers.get("location")]).toEqual([202, "/api/migration"]);
    for (let migration: unknown = 1; migration !== null; ) {
      for (const i of [1, 50, 100, 150])
        expect(await (await fetch(`${gateway.dataUrl}/key${i}`)).json()).toEqual({ value: i });
      migration = (await admin(gateway, "GET", "/api/migration")).body.migration;
    }
    expect(gateway.log.entries.filter(({ level, source }) => source === "change" && level === "error")).toEqual([]);
    const name = encodeURIComponent(added.address);
    const resized = await admin(gateway, "PATCH", `/api/nodes/${name}?wait=true`, { vnodes: 80 });
    expect([resized.status, resized.body.command]).toEqual([200, `set-vnodes ${added.address} 80`]);
    expect((await admin(gateway, "GET", `/api/points?node=${name}`)).body.points).toHaveLength(320);
    const removed = await admin(gateway, "DELETE", `/api/nodes/${name}?wait=true`);
    expect(removed.status).toBe(200);
    for (let i = 0; i < 200; i++)
      expect(await (await fetch(`${gateway.dataUrl}/key${i}`)).json()).toEqual({ value: i });
  });
});

test("the OpenAPI document has every route, and no other", () => {
  const parts = { cache: () => undefined, log: new EventLog(), traffic: new Traffic() };
  const { app } = createAdminApp(parts as never, { host: "127.0.0.1", token: undefined, requestsPerSecond: 1 });
  const routes = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
  const documented = Object.entries(openApi().paths as Record<string, object>).flatMap(([path, operations]) => {
    return Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`);
  });
  expect([...new Set(routes)].sort()).toEqual(documented.sort());
});

function statusWithHost(host: string): Promise<number | undefined> {
  const url = new URL("/api/state", gateway.adminUrl);
  return new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}
