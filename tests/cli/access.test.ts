/** Servers behind TLS and passwords, from the command line: by flags, files and the environment, and never by a password among the flags. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accessOf } from "../../src/cli/access.ts";
import { version } from "../../src/memcached/admin.ts";
import { type RedisServer, startRedis } from "../../src/testing/index.ts";
import { freePort } from "../memcached/support.ts";
import { Run } from "./support.ts";

const TLS = fileURLToPath(new URL("../features/tls/", import.meta.url));
const CERTIFICATE = join(TLS, "server.crt");
const KEY = join(TLS, "server.key");

const folder = mkdtempSync(join(tmpdir(), "ringshift-access-"));
const users = join(folder, "users");
const servers: ChildProcess[] = [];
let redis: RedisServer;

beforeAll(async () => {
  chmodSync(folder, 0o755);
  writeFileSync(users, "ada:love:lace\n", { mode: 0o644 });
  redis = await startRedis();
});

afterAll(async () => {
  for (const server of servers) {
    server.kill("SIGKILL");
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
  }
  await redis.stop();
  rmSync(folder, { recursive: true });
});

/** A memcached that wants TLS, a password, or both. */
async function secured(...args: string[]): Promise<string> {
  const port = await freePort();
  const server = spawn("memcached", ["-u", "root", "-l", "127.0.0.1", "-p", String(port), ...args], {
    stdio: "ignore",
  });
  servers.push(server);
  const address = `127.0.0.1:${port}`;
  const access = {
    tls: args.includes("-Z") ? { ca: readFileSync(CERTIFICATE) } : undefined,
    auth: args.includes("-Y") ? { username: "ada", password: "love:lace" } : undefined,
  };
  while ((await version(address, { access }).catch(() => undefined)) === undefined) {
    if (server.exitCode !== null) throw new Error(`memcached did not start: ${args.join(" ")}`);
    await sleep(20);
  }
  return address;
}

const TLS_ARGS = ["-Z", "-o", `ssl_chain_cert=${CERTIFICATE},ssl_key=${KEY}`];
const env = (more: Record<string, string> = {}) => ({ RINGSHIFT_REDIS: redis.url, ...more });

async function run(args: readonly string[], variables: Record<string, string>) {
  const program = new Run(args, variables);
  program.child.stdin.end();
  const { code, stdout, stderr } = await program.outcome();
  return { code, stdout: stdout.toString(), stderr };
}

describe.each([
  ["flags", ["--tls-ca", CERTIFICATE, "--auth-file", users], {}],
  [
    "the environment",
    [],
    { RINGSHIFT_TLS_CA: CERTIFICATE, RINGSHIFT_USERNAME: "ada", RINGSHIFT_PASSWORD: "love:lace" },
  ],
] as const)("a cluster behind TLS and passwords, by %s", (how, flags, variables) => {
  test("is started, written, read, grown and verified", async () => {
    const namespace = ["--namespace", how === "flags" ? "flags" : "environment"];
    const args = [...flags, ...namespace];
    const [first, second] = [await secured(...TLS_ARGS, "-Y", users), await secured(...TLS_ARGS, "-Y", users)];
    const ringshift = (...words: string[]) => run([...words, ...args], env(variables));
    expect(await ringshift("init", first)).toMatchObject({ code: 0 });
    expect(await ringshift("set", "greeting", "hello")).toMatchObject({ code: 0 });
    expect(await ringshift("get", "greeting")).toMatchObject({ code: 0, stdout: "hello" });
    expect(await ringshift("add-node", second, "--yes")).toMatchObject({ code: 0 });
    expect(await ringshift("get", "greeting")).toMatchObject({ code: 0, stdout: "hello" });
    expect(await ringshift("verify", "--full")).toMatchObject({ code: 0 });
    expect(await ringshift("status")).toMatchObject({ code: 0 });
    const without = await run(["init", await secured("-Y", users), "--namespace", `${how.length}`], env());
    expect(without.code).not.toBe(0);
    expect(without.stderr).toMatch(/AUTH_FAILED|unauthenticated/);
  });
});

test("a password among the flags is refused, whatever else is there", async () => {
  const { code, stderr } = await run(["status", "--username", "ada", "--password", "x"], env());
  expect(code).toBe(2);
  expect(stderr).toMatch(/can be read by every user: give RINGSHIFT_PASSWORD, or --auth-file/);
  expect((await run(["--help"], env())).stdout).not.toContain("--password");
});

test("init --hash-tags keeps keys of one tag together", async () => {
  const hosts = [await secured(), await secured()];
  const args = ["--namespace", "tags"];
  expect(await run(["init", "--hash-tags", ...hosts, ...args], env())).toMatchObject({ code: 0 });
  const points = new Set<unknown>();
  for (const key of ["{user:1}:a", "{user:1}:b", "{user:1}:c"]) {
    const { stdout } = await run(["locate", key, "--json", ...args], env());
    points.add((JSON.parse(stdout) as { point: number }).point);
  }
  expect(points.size).toBe(1);
});

describe("what is given where", () => {
  const bad = join(folder, "bad");
  writeFileSync(bad, "nobody\n");

  test.each([
    ["a name without a password", { username: "ada" }, {}, /RINGSHIFT_PASSWORD, or --auth-file/],
    ["two ways at once", { username: "ada", authFile: users }, { RINGSHIFT_PASSWORD: "x" }, /one of the two/],
    ["a file that is not there", { authFile: "/nonexistent" }, {}, /--auth-file \/nonexistent cannot be read/],
    ["a file without a colon", { authFile: bad }, {}, /username:password/],
    ["a certificate without its key", { tlsCert: CERTIFICATE }, {}, /go together/],
    ["a CA that is not there", { tlsCa: "/nonexistent" }, {}, /--tls-ca \/nonexistent cannot be read/],
    ["TLS that is neither on nor off", {}, { RINGSHIFT_TLS: "maybe" }, /RINGSHIFT_TLS is 1 or 0/],
    ["a name with a blank", { username: "a b" }, { RINGSHIFT_PASSWORD: "x" }, /without blanks/],
  ] as const)("%s is refused", (_, flags, variables, message) => {
    expect(() => accessOf(flags, variables)).toThrow(message);
  });

  test("flags win over the environment", () => {
    const variables = { RINGSHIFT_TLS: "1", RINGSHIFT_USERNAME: "bob", RINGSHIFT_PASSWORD: "x" };
    expect(accessOf({}, variables)).toEqual({ tls: true, auth: { username: "bob", password: "x" } });
    expect(accessOf({ authFile: users }, variables).auth).toEqual({ username: "ada", password: "love:lace" });
    expect(accessOf({ username: "eve" }, { ...variables, RINGSHIFT_AUTH_FILE: users }).auth?.username).toBe("eve");
    expect(accessOf({ tlsServername: "cache" }, {})).toEqual({ tls: { servername: "cache" }, auth: undefined });
    expect(accessOf({}, { RINGSHIFT_TLS: "off", RINGSHIFT_PASSWORD: "x" })).toEqual({
      tls: undefined,
      auth: undefined,
    });
  });
});
