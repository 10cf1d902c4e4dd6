/** Every way to a server that the suite runs over: how its servers are started, what a client is told, what the way cannot do. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ClientOptions } from "../../src/client/options.ts";
import type { ServerAccess } from "../../src/memcached/access.ts";
import { version } from "../../src/memcached/admin.ts";
import { ensureSaslPlain, requireBinary } from "../../src/testing/binaries.ts";
import { startMemcached } from "../../src/testing/local-cluster.ts";
import { MemoryMemcached } from "../../src/testing/memory-script.ts";
import { SaslAccounts } from "../../src/testing/sasl.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";
import { freePort } from "../memcached/support.ts";

const CERTIFICATE = fileURLToPath(new URL("../features/tls/server.crt", import.meta.url));
const KEY = fileURLToPath(new URL("../features/tls/server.key", import.meta.url));
const AUTH = { username: "ada", password: "lovelace" };
const START_ATTEMPTS = 5;

export interface Way {
  readonly name: string;
  readonly options: Pick<ClientOptions, "protocol" | "connections" | "tls" | "auth">;
  /** How an operator reaches the same servers. */
  readonly access: ServerAccess;
  /** The servers speak the meta protocol, so that a cluster of them can change. */
  readonly meta: boolean;
  /** Starts a server and resolves with its address when it answers. */
  start(): Promise<string>;
}

/** Ended by `endWays`, the last one first. */
const endings: (() => Promise<unknown> | unknown)[] = [];

export async function endWays(): Promise<void> {
  for (const end of endings.splice(0).reverse()) await end();
}

let folder: string | undefined;
function ownFolder(): string {
  if (folder !== undefined) return folder;
  const made = mkdtempSync(join(tmpdir(), "ringshift-conformance-"));
  chmodSync(made, 0o777); // memcached may run as another user
  endings.push(() => {
    rmSync(made, { recursive: true, force: true });
    folder = undefined;
  });
  folder = made;
  return made;
}

/** A memcached on TCP. */
async function memcached(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const server = await startMemcached({ args, env });
  endings.push(() => server.stop());
  return server.address;
}

/** A memcached with addresses of its own kind, which the launcher of src/testing has no words for. */
async function special(where: () => Promise<readonly [string[], string]>, access: ServerAccess): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const [args, address] = await where();
    const child = spawn(requireBinary("memcached"), ["-u", "root", ...args], { stdio: "ignore" });
    endings.push(() => ended(child));
    for (;;) {
      if (child.exitCode !== null) break; // somebody else was first on the port
      if ((await version(address, { access }).catch(() => undefined)) !== undefined) return address;
      await sleep(20);
    }
    if (attempt === START_ATTEMPTS) throw new Error(`memcached did not start: ${args.join(" ")}`);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

const tls = { tls: { ca: readFileSync(CERTIFICATE) } };
let sockets = 0;
let accounts: SaslAccounts | undefined;

async function sasl(): Promise<string> {
  if (accounts === undefined) {
    await ensureSaslPlain();
    accounts = await SaslAccounts.open({ [AUTH.username]: AUTH.password });
    const opened = accounts;
    endings.push(() => {
      accounts = undefined;
      return opened.close();
    });
  }
  return memcached(["-S"], accounts.env);
}

/** Containers often have no IPv6 at all, loopback included: nothing to run over there then. */
const HAS_IPV6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some((one) => one.address === "::1"),
);

const IPV6: Way = {
  name: "meta over IPv6",
  options: {},
  access: {},
  meta: true,
  start: () =>
    special(async () => {
      const port = await freePort();
      return [["-l", "::1", "-p", String(port)], `[::1]:${port}`];
    }, {}),
};

export const WAYS: readonly Way[] = [
  { name: "meta over TCP", options: {}, access: {}, meta: true, start: () => memcached() },
  { name: "meta over 3 connections", options: { connections: 3 }, access: {}, meta: true, start: () => memcached() },
  ...(HAS_IPV6 ? [IPV6] : []),
  {
    name: "meta over a unix socket",
    options: {},
    access: {},
    meta: true,
    start: () =>
      special(async () => {
        const path = join(ownFolder(), `${sockets++}.sock`);
        return [["-s", path, "-a", "0777"], `unix:${path}`];
      }, {}),
  },
  {
    name: "meta over TLS",
    options: tls,
    access: tls,
    meta: true,
    start: () =>
      special(async () => {
        const port = await freePort();
        const certificate = `ssl_chain_cert=${CERTIFICATE},ssl_key=${KEY}`;
        return [["-l", "127.0.0.1", "-p", String(port), "-Z", "-o", certificate], `127.0.0.1:${port}`];
      }, tls),
  },
  {
    name: "meta with a password",
    options: { auth: AUTH },
    access: { auth: AUTH },
    meta: true,
    start: () => {
      const file = join(ownFolder(), "users");
      writeFileSync(file, `${AUTH.username}:${AUTH.password}\n`);
      return memcached(["-Y", file]);
    },
  },
  {
    name: "meta to the scripted server",
    options: {},
    access: {},
    meta: true,
    start: async () => {
      const server = await ScriptedServer.listen(new MemoryMemcached().script);
      endings.push(() => server.close());
      return server.address;
    },
  },
  { name: "memjs", options: { protocol: "binary" }, access: {}, meta: true, start: () => memcached() },
  {
    name: "memjs over 3 connections",
    options: { protocol: "binary", connections: 3 },
    access: {},
    meta: true,
    start: () => memcached(),
  },
  { name: "memjs with SASL", options: { protocol: "binary", auth: AUTH }, access: {}, meta: false, start: sasl },
];
