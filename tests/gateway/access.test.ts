/** The gateway over servers that want TLS or a password, by ringshift.yaml. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadSettings } from "../../src/config/load.ts";
import { version } from "../../src/memcached/admin.ts";
import { type RedisServer, startRedis } from "../../src/testing/index.ts";
import { freePort } from "../memcached/support.ts";
import { admin, start } from "./gateway-support.ts";

const CERTIFICATE = fileURLToPath(new URL("../features/tls/server.crt", import.meta.url));
const KEY = fileURLToPath(new URL("../features/tls/server.key", import.meta.url));

const children: ChildProcess[] = [];
let folder: string;
let redis: RedisServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ringshift-access-"));
  copyFileSync(CERTIFICATE, join(folder, "ca.pem"));
  writeFileSync(join(folder, "users"), "ada:love:lace\n");
  redis = await startRedis();
});
afterAll(async () => {
  for (const child of children) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  await redis?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function file(text: string): string {
  const path = join(folder, "ringshift.yaml");
  writeFileSync(path, text);
  return path;
}

const WAYS = {
  tls: {
    args: ["-Z", "-o", `ssl_chain_cert=${CERTIFICATE},ssl_key=${KEY}`],
    settings: "tls: { ca: ca.pem }\n",
    wrong: "tls: { on: true }\n",
  },
  auth: {
    args: () => ["-Y", join(folder, "users")],
    settings: "auth: { file: users }\n",
    wrong: 'auth: { username: ada, password: "wrong" }\n',
  },
};

test.each(Object.keys(WAYS) as (keyof typeof WAYS)[])("serves, probes and migrates over %s", async (name) => {
  const { args, settings, wrong } = WAYS[name];
  const { access } = await loadSettings({ file: file(settings), env: {} });
  const server = async () => {
    const port = await freePort();
    const more = typeof args === "function" ? args() : args;
    const child = spawn("memcached", ["-u", "root", "-l", "127.0.0.1", "-p", String(port), ...more], {
      stdio: "ignore",
    });
    children.push(child);
    const address = `127.0.0.1:${port}`;
    while ((await version(address, { access }).catch(() => undefined)) === undefined) {
      if (child.exitCode !== null) throw new Error(`memcached did not start: ${more.join(" ")}`);
      await sleep(20);
    }
    return address;
  };
  const [first, second] = [await server(), await server()];
  const cluster = { redis } as never;
  const flags = { namespace: name, nodes: [{ address: first }] };
  await expect(start(cluster, { file: file(wrong), flags })).rejects.toMatchObject({ code: expect.any(String) });
  const gateway = await start(cluster, { file: file(settings), flags });
  try {
    for (let i = 0; i < 100; i++) {
      const response = await fetch(`${gateway.dataUrl}/key${i}`, {
        method: "POST",
        body: JSON.stringify({ value: i }),
      });
      expect(response.status).toBe(201);
    }
    const added = await admin(gateway, "POST", "/api/nodes?wait=true", { nodes: [second] });
    expect([added.status, added.body.moved]).toEqual([200, expect.any(Number)]);
    for (let i = 0; i < 100; i++) {
      expect(await (await fetch(`${gateway.dataUrl}/key${i}`)).json()).toEqual({ value: i });
    }
    const probed = async () => {
      const { nodes } = (await admin(gateway, "GET", "/api/nodes")).body as {
        nodes: { state: string; items?: number }[];
      };
      return nodes.length === 2 && nodes.every(({ state, items = 0 }) => state === "up" && items > 0);
    };
    while (!(await probed())) await sleep(50);
  } finally {
    await gateway.close();
  }
});

test.each([
  ["tls: { cert: ca.pem }", "tls.cert and tls.key go together"],
  ["tls: { ca: nowhere.pem }", "tls.ca: .*nowhere.pem cannot be read"],
  ["tls: true", "tls is a map of settings"],
  ["tls: { on: perhaps }", "tls.on: .*expected boolean"],
  ["auth: { username: ada }", "needs a password: RINGSHIFT_PASSWORD"],
  ["auth: { file: users, username: ada }", "give one of the two"],
  ["auth: { file: ca.pem }", "first line is to be username:password"],
  ["auth: { username: 'a b', password: x }", "without blanks"],
])("%s is refused", async (text, message) => {
  await expect(loadSettings({ file: file(text), env: {} })).rejects.toMatchObject({
    code: "INVALID_OPTION",
    message: expect.stringMatching(message),
  });
});

test("from the environment: the variables that the other commands have", async () => {
  const env = { RINGSHIFT_TLS: "yes", RINGSHIFT_USERNAME: "ada", RINGSHIFT_PASSWORD: "love lace" };
  const { access, origins } = await loadSettings({ file: file(""), env });
  expect(access).toEqual({ tls: true, auth: { username: "ada", password: "love lace" } });
  expect([origins.get("tls.on"), origins.get("auth.password")]).toEqual(["RINGSHIFT_TLS", "RINGSHIFT_PASSWORD"]);
  expect((await loadSettings({ file: file("tls: { on: false, ca: ca.pem }"), env: {} })).access.tls).toBeUndefined();
  const flag = loadSettings({ file: file(""), env: {}, flags: { "auth.password": "x" } });
  await expect(flag).rejects.toThrow("can be read by every user");
});
