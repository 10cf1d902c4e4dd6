import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { Cli, MAIN, Run } from "./support.ts";

let cluster: LocalCluster;
let cli: Cli;
let client: Client;

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 2 });
  cli = new Cli(cluster.redis);
  client = await createClient({ redis: cluster.redis.url, servers: cluster.servers });
});

afterAll(async () => {
  await client?.quit();
  await cluster?.stop();
});

const get = async (...key: string[]) => (await cli.run(["get", ...key])).stdout.toString();

test("what set stores, get and a client read, byte for byte", async () => {
  const stored = await cli.run(["set", "greeting", "schöne Grüße", "--ttl", "60"]);
  expect(stored).toMatchObject({ code: 0, stderr: '[OK] "greeting" is stored\n' });
  expect(stored.stdout).toHaveLength(0);
  expect(await get("greeting")).toBe("schöne Grüße");
  expect(await client.get("greeting")).toBe("schöne Grüße");
});

test("set - takes stdin: text as text, bytes as bytes", async () => {
  const bytes = randomBytes(300_000);
  await cli.run(["set", "bytes", "-"], bytes);
  expect((await cli.run(["get", "bytes"])).stdout.equals(bytes)).toBe(true);
  expect(await client.get("bytes")).toEqual(bytes);
  await cli.run(["set", "lines", "-"], "one\ntwo\n");
  expect(await get("lines")).toBe("one\ntwo\n");
  expect(await client.get("lines")).toBe("one\ntwo\n");
});

test("a miss is exit 1 and a word on stderr, nothing on stdout", async () => {
  const { code, stdout, stderr } = await cli.run(["get", "nothing"]);
  expect([code, stdout.length, stderr]).toEqual([1, 0, '[WARNING] "nothing" is not there.\n']);
  const asked = await cli.run(["get", "nothing", "--json"]);
  expect([asked.code, JSON.parse(asked.stdout.toString())]).toEqual([1, { key: "nothing", found: false }]);
});

test.each([
  ["text", "text", { value: "text", flags: 0 }],
  ["JSON", { a: [1, null] }, { value: { a: [1, null] }, flags: 2 }],
  ["a number", 42, { value: 42, flags: 8 }],
  ["bytes", Buffer.from([0xff, 0]), { value: "/wA=", encoding: "base64", flags: 4 }],
])("get --json of %s", async (_, value, expected) => {
  await client.set("typed", value);
  expect(await cli.json("get", "typed")).toEqual({ key: "typed", found: true, ...expected });
});

test("get --json keeps the digits of a counter beyond 2^53", async () => {
  await client.set("counter", 9_007_199_254_740_991);
  await client.incr("counter", 2);
  expect(await get("counter")).toBe("9007199254740993");
  expect(await cli.json("get", "counter")).toMatchObject({ value: "9007199254740993" });
});

test("delete says whether there was something, and both are done", async () => {
  await client.set("old", "x");
  expect(await cli.json("delete", "old")).toEqual({ key: "old", deleted: true });
  expect(await client.get("old")).toBeUndefined();
  expect(await cli.run(["delete", "old"])).toMatchObject({ code: 0, stderr: '[WARNING] "old" was not there.\n' });
});

describe("keys that look like something else", () => {
  const keys = ["-0", "--json", "--help", "-", "__proto__", "constructor", "ключ", "%00", "k".repeat(250)];

  test.each(keys)("%s is set and got", async (key) => {
    expect(await cli.run(["set", "--", key, `value of ${key}`])).toMatchObject({ code: 0 });
    expect(await get("--", key)).toBe(`value of ${key}`);
    expect(await client.get(key)).toBe(`value of ${key}`);
  });

  test("they are located, and deleted, as any other", async () => {
    const places = JSON.parse(JSON.stringify(keys.map((key) => client.locate(key))));
    expect(await cli.json("locate", "--", ...keys)).toEqual(places);
    await client.set("--json", "x");
    expect(await cli.json("delete", "--", "--json")).toEqual({ key: "--json", deleted: true });
  });

  test("values with a dash", async () => {
    for (const value of ["-5", "--flag"]) {
      await cli.run(["set", "dash", "--", value]);
      expect(await get("dash")).toBe(value);
    }
  });
});

test.each([
  ["empty", ""],
  ["too long", "k".repeat(251)],
  ["too long in bytes", "ü".repeat(126)],
  ["with a blank", "a b"],
  ["with a line end", "a\r\nflush_all"],
  ["of ringshift's own", "ringshift:managed"],
])("a key that is %s is refused with exit 2", async (_, key) => {
  const { code, stdout } = await cli.run(["set", key, "x", "--json"]);
  expect(code).toBe(2);
  expect(JSON.parse(stdout.toString()).error).toMatchObject({ code: "INVALID_KEY", key });
});

test("every command refuses a bad key, and does nothing with the good ones beside it", async () => {
  const runs = [
    ["delete", "a b"],
    ["locate", "fine", "a b"],
  ].map((args) => cli.run(args));
  for (const { code, stdout, stderr } of await Promise.all(runs)) {
    expect([code, stdout.length]).toEqual([2, 0]);
    expect(stderr).toMatch(/^\[ERR\] INVALID_KEY: /);
  }
});

test("a value over the server's limit leaves the value that was there", async () => {
  await cli.run(["set", "sized", "small"]);
  const { code, stderr } = await cli.run(["set", "sized", "-"], Buffer.alloc(2 ** 20, "x"));
  expect(code).toBe(2);
  expect(stderr).toMatch(/^\[ERR\] VALUE_TOO_LARGE: .*\n$/);
  expect(await get("sized")).toBe("small");
});

test("locate names the owner that the client asks, and the set that lists the key", async () => {
  const keys = ["a", "b", "c"];
  const places = await cli.json<unknown[]>("locate", ...keys);
  expect(places).toEqual(JSON.parse(JSON.stringify(keys.map((key) => client.locate(key)))));
  const { stdout } = await cli.run(["locate", ...keys]);
  const [, first] = stdout.toString().split("\n");
  const { node, point, set } = client.locate("a");
  expect(first?.split(/ +/)).toEqual(["a", node, node, String(point), set]);
});

test("ring lists every point once, in order, and --node one node's", async () => {
  const { points, size } = await cli.json<{ points: { point: number; node: string }[]; size: number }>("ring");
  expect([points.length, size]).toEqual([320, 320]);
  expect(points).toEqual(points.toSorted((a, b) => a.point - b.point));
  const lines = (await cli.run(["ring"])).stdout.toString().trimEnd().split("\n");
  expect(lines).toEqual(points.map(({ point, node }) => `${point}\t${node}`));
  const node = cluster.servers[0]!;
  const own = await cli.json<{ points: object[] }>("ring", "--node", node);
  expect(own.points).toEqual(points.filter((point) => point.node === node));
  expect(await cli.run(["ring", "--node", "nobody"])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^\[ERR\] NODE_UNKNOWN: /),
  });
});

test("global options stand before or behind the command, flags win over the environment", async () => {
  const { url } = cluster.redis;
  const elsewhere = { RINGSHIFT_REDIS: "redis://127.0.0.1:1", RINGSHIFT_NAMESPACE: "other" };
  for (const args of [
    ["--redis", url, "--namespace", "default", "--json", "status"],
    ["status", "--redis", url, "--namespace", "default", "--json"],
    ["--json", "status", "--namespace", "default", "--redis", url],
  ]) {
    const { code, stdout } = await new Run(args, elsewhere).outcome();
    expect([code, JSON.parse(stdout.toString()).namespace]).toEqual([0, "default"]);
  }
  const other = await new Run(["status"], { ...elsewhere, RINGSHIFT_REDIS: url }).outcome();
  expect(other).toMatchObject({ code: 2, stderr: expect.stringMatching(/^\[ERR\] NOT_INITIALISED: /) });
});

test("a reader that leaves early is no error", async () => {
  const run = cli.start("ring");
  run.child.stdout.destroy();
  expect(await run.outcome()).toMatchObject({ code: 0, stderr: "" });
});

test.skipIf(process.platform !== "linux")(
  "output that does not fit on the disk is a failure, however much of it does",
  async () => {
    await cli.run(["set", "large", "-"], Buffer.alloc(900_000, "x"));
    const program = [process.execPath, MAIN, "get", "large", "--redis", cluster.redis.url];
    const shell = async (script: string) => {
      const child = spawn("sh", ["-c", script, "sh", ...program], { stdio: ["ignore", "ignore", "pipe"] });
      const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
      return { code, stderr };
    };
    const folder = mkdtempSync(join(tmpdir(), "ringshift-output-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "value");
    expect(await shell(`"$@" > '${file}'`)).toEqual({ code: 0, stderr: "" });
    expect(statSync(file).size).toBe(900_000);
    const told = { code: 1, stderr: expect.stringMatching(/^\[ERR\] The output is not whole \(.*(EFBIG|ENOSPC)/) };
    expect(await shell(`ulimit -f 100; "$@" > '${file}'`)).toEqual(told); // files end at 100 blocks, as on a disk that is nearly full
    expect(statSync(file).size).toBeLessThan(900_000);
    expect(await shell('"$@" > /dev/full')).toEqual(told);
  },
);
