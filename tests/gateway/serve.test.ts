import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, type ClientRequest, request } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { initCluster } from "../../src/migration/init-cluster.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { type Served, serve } from "./serve-support.ts";

let cluster: LocalCluster;
beforeAll(async () => {
  cluster = await LocalCluster.start();
  await initCluster(
    cluster.servers.map((address) => ({ address })),
    { redis: cluster.redis.url },
  );
});
afterAll(() => cluster?.stop());

const start = (...args: string[]) => serve(["--redis", cluster.redis.url, ...args]);

describe("the end of the process", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s: requests in flight are answered, new ones refused, exit 0",
    async (signal) => {
      const served = await start();
      const body = JSON.stringify({ value: "late" });
      const { inFlight, answered } = halfSent(served.data, "/in-flight", body);
      await sleep(200); // its headers have arrived
      const ended = served.end(signal);
      await refused(served.data);
      inFlight.end(body.slice(3));
      expect(await answered).toBe(201);
      expect(await ended).toBe(0);
    },
  );

  test("an idle keep-alive connection and an event stream do not hold it up", async () => {
    const served = await start();
    const agent = new Agent({ keepAlive: true });
    await new Promise((resolve) =>
      request(`${served.data}/x`, { agent }, (response) => response.resume().on("end", resolve)).end(),
    );
    const events = await fetch(`${served.admin}/events`);
    const reader = events.body!.getReader();
    await reader.read();
    expect(await served.end("SIGTERM")).toBe(0);
    agent.destroy();
    await reader.cancel().catch(() => {});
  });

  test("a connection that never sent anything does not hold it up, and an answer says that it is the last", async () => {
    const served = await start();
    const { hostname, port } = new URL(served.data);
    const silent = connect(Number(port), hostname);
    silent.on("error", () => {});
    const body = JSON.stringify({ value: "late" });
    const { inFlight, answered } = halfSent(served.data, "/last", body);
    const connection = new Promise((resolve) => inFlight.on("response", ({ headers }) => resolve(headers.connection)));
    await sleep(200);
    const begun = performance.now();
    const ended = served.end("SIGTERM");
    await refused(served.data);
    inFlight.end(body.slice(3));
    expect([await answered, await connection]).toEqual([201, "close"]);
    expect(await ended).toBe(0);
    expect(performance.now() - begun).toBeLessThan(5_000);
    silent.destroy();
  });

  test("a request that never ends is given up after timeouts.drainMs", async () => {
    const served = await start("--set", "timeouts.drainMs=300");
    const { answered } = halfSent(served.data, "/never", JSON.stringify({ value: "never" }));
    await sleep(200);
    expect(await served.end("SIGTERM")).toBe(0);
    expect(await answered).toBeUndefined();
  });
});

describe("over real sockets", () => {
  let served: Served;
  beforeAll(async () => {
    served = await start();
  });
  afterAll(() => served?.end("SIGTERM"));

  test("path tricks that URL classes hide are refused as they were sent", async () => {
    await fetch(`${served.data}/secret`, { method: "POST", body: '{"value":1}' });
    for (const path of [
      "/../secret",
      "/x/../secret",
      "/%2e%2e/secret",
      "/./secret",
      "/%2E/secret",
      "/x%2f..%2fsecret",
      "//secret",
    ]) {
      expect([path, await raw(served.data, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)]).toEqual([
        path,
        400,
      ]);
    }
    expect(await raw(served.data, "GET http://x/../secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toBe(400);
    expect(await raw(served.data, `GET /${"k".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`)).toBe(400);
    expect(await raw(served.data, "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n")).toBe(400);
    expect(await raw(served.data, "GET /secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toBe(200);
  });

  test("a request that lies about its length does not poison the connection", async () => {
    const smuggled =
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\n\r\n";
    expect(await raw(served.data, smuggled)).toBe(400);
  });

  test("ten thousand idle and slow connections do not stop it serving", async () => {
    const descriptors = Number(execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim()) || 20_000;
    const wanted = Math.min(10_000, Math.floor((descriptors - 500) / 250) * 250); // a shell that allows fewer tests fewer
    const sockets: Socket[] = [];
    const { hostname, port } = new URL(served.data);
    for (let i = 0; i < wanted; i += 250) {
      const some = Array.from({ length: 250 }, (_, n) => {
        const socket = connect(Number(port), hostname);
        socket.on("error", () => {});
        sockets.push(socket);
        return new Promise<void>((resolve) => {
          socket.once("connect", () => {
            if (n % 2 === 0) socket.write("GET /slow HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            resolve();
          });
          socket.once("error", () => resolve());
        });
      });
      await Promise.all(some);
    }
    expect(sockets.filter((socket) => socket.readyState === "open").length).toBe(wanted);
    for (let i = 0; i < 20; i++) expect((await fetch(`${served.data}/secret`)).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });
});

test("what cannot be served is said, with the exit code of its kind", async () => {
  await expect(serve(["--redis", "redis://127.0.0.1:1"])).rejects.toThrow("REDIS_UNREACHABLE");
  await expect(start("--namespace", "nobody")).rejects.toThrow("NOT_INITIALISED");
  await expect(start("--admin-host", "0.0.0.0", "--set", "timeouts.ioM=3")).rejects.toThrow(
    "did you mean timeouts.ioMs?",
  );
  await expect(serve(["--redis", cluster.redis.url], { RINGSHIFT_ADMIN_TOKEN: "short" })).rejects.toThrow(
    "16 characters",
  );
  await expect(
    serve(["--redis", cluster.redis.url], { RINGSHIFT_ADMIN_TOKEN: "a token of several words" }),
  ).rejects.toThrow("INVALID_OPTION");
  const served = await start();
  const { port } = new URL(served.data);
  for (const name of ["data", "admin"]) {
    const says = new RegExp(`The ${name} port .*:${port} .*EADDRINUSE.*--${name}-port, or .* ${name}\\.port in`);
    await expect(start(`--${name}-port`, port)).rejects.toThrow(says);
  }
  await served.end("SIGTERM");
});

test("SIGHUP reads the configuration again, and does not end the process", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ringshift-serve-"));
  const file = join(folder, "ringshift.yaml");
  writeFileSync(file, "log: {level: info}\n");
  const served = await start("--config", file);
  served.process.kill("SIGHUP");
  await sleep(200);
  expect((await fetch(`${served.admin}/healthz`)).status).toBe(200);
  writeFileSync(file, "log: {level: warn}\nnodes: [\n");
  served.process.kill("SIGHUP"); // the watch would wait for 200 ms
  while (!served.log.some((line) => line.includes("Nothing was changed"))) await sleep(5);
  expect(await served.end("SIGTERM")).toBe(0);
  rmSync(folder, { recursive: true });
});

test("a token can be drawn for the run", async () => {
  const served = await serve(["--redis", cluster.redis.url], { RINGSHIFT_ADMIN_TOKEN: "generate" });
  const token = served.log.map((line) => /^\[OK\] Admin token of this run: (\S{32})$/.exec(line)?.[1]).find(Boolean);
  const pause = (authorization: string) =>
    fetch(`${served.admin}/api/migration/pause`, { method: "POST", headers: { authorization } });
  expect((await pause(`Bearer ${token}`)).status).toBe(400); // nothing is under way
  expect((await pause("Bearer generate")).status).toBe(401);
  expect(await served.end("SIGTERM")).toBe(0);
});

/** A POST of which all but the end of the body has been sent. */
function halfSent(
  base: string,
  path: string,
  body: string,
): { inFlight: ClientRequest; answered: Promise<number | undefined> } {
  const inFlight = request(`${base}${path}`, { method: "POST", headers: { "content-length": body.length } });
  const answered = new Promise<number | undefined>((resolve) => {
    inFlight.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    inFlight.on("error", () => resolve(undefined));
  });
  inFlight.write(body.slice(0, 3));
  return { inFlight, answered };
}

/** Resolves when nobody listens any more. */
async function refused(base: string): Promise<void> {
  const { hostname, port } = new URL(base);
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (!open) return;
    await sleep(10);
  }
}

/** The status of the answer to bytes sent as they are. */
function raw(base: string, text: string): Promise<number> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(text, "latin1"));
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      const status = /^HTTP\/1\.1 (\d{3})/.exec(answer);
      if (status !== null) {
        socket.destroy();
        resolve(Number(status[1]));
      }
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`closed without an answer: ${answer}`)));
  });
}
