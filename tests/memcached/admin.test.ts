/** Line-mode questions: real servers for what they answer, scripted ones for what should not happen. */
import { afterEach, describe, expect, test } from "vitest";
import { flushAll, metadump, probeServer, stats, version } from "../../src/memcached/admin.ts";
import { classicSet, metaSet } from "../../src/memcached/commands.ts";
import { toWireKey } from "../../src/memcached/key.ts";
import { Link } from "../../src/memcached/link.ts";
import { type Script, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { freePort, type RealServer, startMemcached } from "./support.ts";

const scripted: ScriptedServer[] = [];
afterEach(() => Promise.all(scripted.splice(0).map((server) => server.close())));

async function listen(script: Script): Promise<ScriptedServer> {
  const server = await ScriptedServer.listen(script);
  scripted.push(server);
  return server;
}

async function fill(server: RealServer, keys: readonly string[], ttl = 0): Promise<void> {
  const link = new Link({ name: "a", address: server.address, timeoutMs: 10_000 });
  await Promise.all(keys.map((key) => link.exchange([metaSet(key, Buffer.from("v"), { flags: 0, ttl })])));
  await link.close();
}

async function collect(keys: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const key of keys) all.push(key);
  return all.sort();
}

describe("a real server", () => {
  test("statistics that are switched are answered without END", async () => {
    const server = await startMemcached();
    const ask = async (what: string) => Object.fromEntries(await stats(server.address, what));
    expect(await ask("detail on")).toEqual({});
    const link = new Link({ name: "a", address: server.address, timeoutMs: 10_000 });
    await link.exchange([classicSet("one:1", 0, 0, Buffer.from("v"))]); // a meta command is not counted there
    await link.close();
    expect(await ask("detail dump")).toMatchObject({ one: expect.stringMatching(/ set 1 /) });
    expect(await ask("detail off")).toEqual({});
    expect(await ask("reset")).toEqual({});
    expect(await ask("sizes_enable")).toEqual({ sizes_status: "enabled" });
    expect(Object.keys(await ask("sizes"))).not.toContain("sizes_status");
    expect(await ask("sizes_disable")).toEqual({ sizes_status: "disabled" });
    expect(await ask("sizes")).toEqual({ sizes_status: "disabled" });
  });

  test("version, stats, flush_all", async () => {
    const server = await startMemcached();
    expect(await version(server.address)).toMatch(/^1\.\d+\.\d+/);
    await fill(server, ["a", "b"]);
    expect((await stats(server.address)).get("curr_items")).toBe("2");
    expect((await stats(server.address, "settings")).get("evictions")).toBe("on");
    await flushAll(server.address);
    expect(await collect(metadump(server.address))).toEqual([]);
  });

  test("metadump lists every live key as it went over the wire, odd ones included", async () => {
    const server = await startMemcached();
    const odd = [
      "a%b",
      "100%25",
      "key=x",
      "é😀",
      "a+b&c=d",
      "__proto__",
      "~".repeat(250),
      "é".repeat(125),
      "END",
      "\u0080\u00a0",
    ].map((key) => toWireKey("", key));
    const plain = Array.from({ length: 20_000 }, (_, i) => `user:${i}`);
    await fill(server, [...odd, ...plain]);
    await fill(server, ["gone"], -1);
    expect(await collect(metadump(server.address))).toEqual([...odd, ...plain].sort());
  });

  test("leaving a metadump early closes it, and the server is there for the next", async () => {
    const server = await startMemcached();
    await fill(
      server,
      Array.from({ length: 5000 }, (_, i) => `k${i}`),
    );
    for await (const key of metadump(server.address)) {
      expect(key).toMatch(/^k\d+$/);
      break;
    }
    expect(await collect(metadump(server.address))).toHaveLength(5000);
  });

  test("what a probe finds out", async () => {
    const [usual, odd] = await Promise.all([
      startMemcached(),
      startMemcached("-M", "-C", "-I", "2m", "-m", "100", "-X"),
    ]);
    expect(await probeServer(usual.address)).toMatchObject({
      meta: true,
      looksLikeProxy: false,
      casEnabled: true,
      itemSizeMax: 1024 * 1024,
      evictions: true,
      maxBytes: 64 * 1024 * 1024,
      currItems: 0,
      pid: usual.process.pid,
    });
    expect(await probeServer(odd.address)).toMatchObject({
      casEnabled: false,
      itemSizeMax: 2 * 1024 * 1024,
      evictions: false,
      maxBytes: 100 * 1024 * 1024,
    });
    await expect(collect(metadump(odd.address))).rejects.toMatchObject({
      code: "META_REQUIRED",
      message: expect.stringContaining("not allowed"),
    });
  });

  test("flush_all that is forbidden is an error", async () => {
    const server = await startMemcached("-F");
    await expect(flushAll(server.address)).rejects.toMatchObject({ code: "SERVER_ERROR" });
  });
});

describe("a metadump that goes wrong is not taken for a whole one", () => {
  const LINE = "key=a exp=-1 la=1 cas=1 fetch=no cls=1 size=63\n";
  const dump = (text: string, after = "MN\r\n"): Script => {
    return ({ line }) => [{ send: line === "mn" ? after : text }];
  };

  test("the script itself is a good dump, of newer servers too", async () => {
    const server = await listen(dump(`${LINE}key=%62 exp=99 la=1 cas=1 fetch=yes cls=1 size=63 flags=5\nEND\r\n`));
    expect(await collect(metadump(server.address))).toEqual(["a", "b"]);
  });

  test.each([
    ["a line cut by the buffer sent again", `key=akey=a exp=-1 la=1 cas=1 fetch=no cls=1 size=63\nEND\r\n`],
    ["a line cut in its last field", `key=a exp=-1 la=1 cas=1 fetch=no cls=1 size=6${LINE}END\r\n`],
    ["a line cut between two fields", `key=a exp=-1 la=1 cas=1 fetch=no cls=1 size=63 ${LINE}END\r\n`],
    ["keys after the end", `${LINE}END\r\n${LINE}`],
  ])("%s", async (_, text) => {
    const server = await listen(dump(text));
    await expect(collect(metadump(server.address))).rejects.toMatchObject({ code: "PROTOCOL_ERROR" });
  });

  test("closed before its end", async () => {
    const server = await listen(() => [{ send: LINE }, { end: true }]);
    await expect(collect(metadump(server.address))).rejects.toMatchObject({ code: "NODE_DOWN" });
  });

  test("silence", async () => {
    const server = await listen(() => [{ send: LINE }, { hang: true }]);
    await expect(collect(metadump(server.address, { timeoutMs: 30 }))).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  test("a busy server is asked again, but not for ever", async () => {
    let busy = 2;
    const server = await listen(({ line }) => [
      { send: line === "mn" ? "MN\r\n" : busy-- > 0 ? "BUSY currently processing\r\n" : `${LINE}END\r\n` },
    ]);
    expect(await collect(metadump(server.address))).toEqual(["a"]);
    busy = Number.POSITIVE_INFINITY;
    await expect(collect(metadump(server.address, { maxWaitMs: 0 }))).rejects.toMatchObject({ code: "TIMEOUT" });
  });
});

describe("what is not a memcached", () => {
  test("nobody listens", async () => {
    await expect(version(`127.0.0.1:${await freePort()}`)).rejects.toMatchObject({ code: "NODE_DOWN" });
  });

  test("something else answers", async () => {
    const server = await listen(() => [{ send: "-ERR unknown command\r\n" }]);
    await expect(probeServer(server.address)).rejects.toMatchObject({ code: "PROTOCOL_ERROR" });
  });

  test("a proxy that hangs up on stats", async () => {
    const server = await listen(({ line }) => (line === "version" ? [{ send: "VERSION 0.5.0\r\n" }] : [{ end: true }]));
    expect(await probeServer(server.address)).toMatchObject({
      meta: false,
      looksLikeProxy: true,
      casEnabled: undefined,
    });
  });

  test("mcrouter", async () => {
    const server = await listen(({ line }) => [
      { send: line === "version" ? "VERSION mcrouter 1.0\r\n" : line === "mn" ? "MN\r\n" : "STAT pid 1\r\nEND\r\n" },
    ]);
    expect(await probeServer(server.address)).toMatchObject({ meta: true, looksLikeProxy: true, pid: 1 });
  });

  test("a line of endless length is not kept", async () => {
    const server = await listen(() => [{ send: "x".repeat(200_000) }]);
    await expect(version(server.address)).rejects.toMatchObject({ code: "PROTOCOL_ERROR" });
  });
});
