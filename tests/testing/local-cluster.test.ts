import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { LocalCluster, type LocalServer, startMemcached, startRedis } from "../../src/testing/index.ts";

const started: { stop(): Promise<void> }[] = [];

/** Stopped after the test, whatever became of it. */
function own<T extends { stop(): Promise<void> }>(server: T): T {
  started.push(server);
  return server;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
});

/** Sends text and resolves with the answer once it ends with `last`. Rejects when nobody listens. */
async function talk(port: number, text: string, last: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write(text);
    let answer = "";
    for await (const chunk of socket) {
      answer += String(chunk);
      if (answer.endsWith(last)) return answer;
    }
    throw new Error(`closed after ${JSON.stringify(answer)}`);
  } finally {
    socket.destroy();
  }
}

const refused = (port: number) => expect(talk(port, "", "-")).rejects.toMatchObject({ code: "ECONNREFUSED" });

test("memcached answers on its port as the process of its pid, and is gone after stop", async () => {
  const server = own(await startMemcached({ memoryMb: 16 }));
  const stats = await talk(server.port, "stats\r\n", "END\r\n");
  expect(stats).toContain(`STAT pid ${server.pid}\r\n`);
  expect(stats).toContain(`STAT limit_maxbytes ${16 * 1024 * 1024}\r\n`);
  expect(server.address).toBe(`127.0.0.1:${server.port}`);
  await server.stop();
  await refused(server.port);
  await server.stop();
});

test("redis keeps nothing by default, and evicts nothing", async () => {
  const server = own(await startRedis());
  expect(server.url).toBe(`redis://127.0.0.1:${server.port}`);
  expect(await talk(server.port, "CONFIG GET maxmemory-policy\r\n", "noeviction\r\n")).toContain("noeviction");
  expect(await talk(server.port, "SET a 1\r\n", "\r\n")).toBe("+OK\r\n");
  await server.restart();
  expect(await talk(server.port, "GET a\r\n", "\r\n")).toBe("$-1\r\n");
});

test("redis with appendOnly has its data after kill -9 and restart, and its folder goes with stop", async () => {
  const server = own(await startRedis({ appendOnly: true, args: ["--appendfsync", "always"] }));
  const folder = (await talk(server.port, "CONFIG GET dir\r\n", "\r\n")).split("\r\n").at(-2) ?? "";
  expect(await talk(server.port, "SET a 1\r\n", "\r\n")).toBe("+OK\r\n");
  await server.kill("SIGKILL");
  await refused(server.port);
  await server.restart();
  expect(await talk(server.port, "GET a\r\n", "1\r\n")).toBe("$1\r\n1\r\n");
  expect(existsSync(folder)).toBe(true);
  await server.stop();
  expect(existsSync(folder)).toBe(false);
});

test("restart keeps the port and is another process, from running, killed and frozen", async () => {
  const server = own(await startMemcached());
  const { port } = server;
  const pids = new Set([server.pid]);
  for (const before of [undefined, "SIGKILL", "SIGSTOP"] as const) {
    if (before !== undefined) await server.kill(before);
    await server.restart();
    expect(server.port).toBe(port);
    expect(await talk(port, "stats\r\n", "END\r\n")).toContain(`STAT pid ${server.pid}\r\n`);
    pids.add(server.pid);
  }
  expect(pids.size).toBe(4);
});

test("a server that does not come up is an error with its own words", async () => {
  await expect(startMemcached({ args: ["--no-such-option"] })).rejects.toThrow("no-such-option");
  await expect(startRedis({ args: ["--no-such-option", "1"] })).rejects.toThrow(/no-such-option/);
});

test.each([
  ["memcached of the binary protocol", () => startMemcached({ args: ["-B", "binary"] })],
  ["redis with a password", () => startRedis({ args: ["--requirepass", "secret"] })],
])("a %s counts as up, too", async (_name, start) => {
  const server = own(await start());
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  socket.destroy();
});

test("a port that is taken is an error when it was asked for, whoever answers there", async () => {
  const first = own(await startMemcached());
  await expect(startMemcached({ port: first.port })).rejects.toThrow(/address already in use/i);
  const stranger = createServer((socket) => socket.end("VERSION 1.6.0\r\n")).listen(0, "127.0.0.1");
  await once(stranger, "listening");
  const { port } = stranger.address() as { port: number };
  await expect(startMemcached({ port })).rejects.toThrow(/address already in use/i);
  stranger.close();
});

test("many servers started at once have a port each", async () => {
  const servers: LocalServer[] = await Promise.all(Array.from({ length: 12 }, async () => own(await startMemcached())));
  expect(new Set(servers.map((server) => server.port)).size).toBe(12);
});

test("a cluster starts, grows and stops as one", async () => {
  const cluster = own(await LocalCluster.start({ memcached: 3, redis: true }));
  await cluster.addMemcached();
  const ports = [...cluster.memcached, cluster.redis].map((server) => server.port);
  expect(cluster.servers).toEqual(cluster.memcached.map((server) => server.address));
  expect(ports).toHaveLength(5);
  for (const server of cluster.memcached) expect(await talk(server.port, "version\r\n", "\r\n")).toMatch(/^VERSION /);
  expect(await talk(cluster.redis.port, "PING\r\n", "\r\n")).toBe("+PONG\r\n");
  await cluster.stop();
  for (const port of ports) await refused(port);
});

test("a cluster of which one server fails is an error and leaves none", async () => {
  const options = { memcached: 2, redis: { args: ["--no-such-option", "1"] } };
  await expect(LocalCluster.start(options)).rejects.toThrow(/no-such-option/);
});

/** Runs a program that starts a memcached and a Redis, in a process of its own; resolves when both are up. */
async function programWithServers(ending: string) {
  const compiled = fileURLToPath(new URL("../../dist/testing/index.js", import.meta.url));
  const program = `
    import { LocalCluster } from ${JSON.stringify(compiled)};
    const cluster = await LocalCluster.start({ memcached: 1 });
    console.log(JSON.stringify([cluster.memcached[0].port, cluster.redis.port]));
    ${ending}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child: child as ChildProcess, ports: JSON.parse(line) as number[] };
}

/** Resolves when the port refuses; the test's own time limit is the only one. */
async function gone(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const result = await new Promise<string>((resolve) => {
      socket.once("connect", () => resolve("open"));
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    });
    socket.destroy();
    if (result === "ECONNREFUSED") return;
  }
}

test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("servers go when their program gets %s", async (signal) => {
  const { child, ports } = await programWithServers("process.stdin.resume();");
  for (const port of ports) await talk(port, "\r\nversion\r\nPING\r\n", "\r\n");
  child.kill(signal);
  await Promise.all(ports.map(gone));
});

test.each([
  ["ends, as they do not keep it running", "await 0;"],
  ["calls exit", "process.exit(0);"],
  ["dies of an uncaught error", "process.on('uncaughtException', () => process.exit(1)); throw new Error('expected');"],
])("servers go when their program %s", async (_how, ending) => {
  const { child, ports } = await programWithServers(ending);
  if (child.exitCode === null) await once(child, "exit");
  await Promise.all(ports.map(gone));
});
