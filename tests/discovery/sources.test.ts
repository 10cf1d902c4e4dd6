/** What the sources name, and how they fail: never with an empty list, which would read as a cluster without servers. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { sourceOf } from "../../src/discovery/source.ts";
import { type Script, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { DnsServer } from "./dns-server.ts";

const found = async (text: string, dnsServers?: readonly string[]) =>
  (await sourceOf(text, { dnsServers }).find()).map(({ address }) => address);

describe("dns", () => {
  let dns: DnsServer;
  const ask = (name: string) => found(`dns:${name}`, [dns.address]);

  beforeAll(async () => {
    dns = await DnsServer.listen();
  });

  afterAll(() => dns.close());

  test("every address behind a name is a server, in one order whatever the answer's", async () => {
    dns.records.set("cache.test", { A: ["10.0.0.2", "10.0.0.1"], AAAA: ["fd00:0:0:0:0:0:0:1"] });
    expect(await ask("cache.test:11300")).toEqual(["10.0.0.1:11300", "10.0.0.2:11300", "[fd00::1]:11300"]);
    expect(await ask("cache.test")).toEqual(["10.0.0.1:11211", "10.0.0.2:11211", "[fd00::1]:11211"]);
    dns.records.set("cache.test", { A: ["10.0.0.1", "10.0.0.3"] });
    expect(await ask("cache.test")).toEqual(["10.0.0.1:11211", "10.0.0.3:11211"]);
  });

  test("SRV records carry ports", async () => {
    const SRV = [
      { name: "two.test", port: 11212 },
      { name: "one.test", port: 11211 },
    ];
    dns.records.set("_memcached._tcp.test", { SRV });
    expect(await ask("_memcached._tcp.test")).toEqual(["one.test:11211", "two.test:11212"]);
  });

  test("a name that is not there, or has no address, is an error", async () => {
    await expect(ask("nowhere.test")).rejects.toMatchObject({ code: "NODE_ADDRESS" });
    dns.records.set("empty.test", {});
    await expect(ask("empty.test")).rejects.toMatchObject({ code: "NODE_ADDRESS" });
    await expect(ask("_none._tcp.test")).rejects.toMatchObject({ code: "NODE_ADDRESS" });
  });

  test("half an answer is an error: the other half would seem to have gone", async () => {
    dns.records.set("half.test", { A: ["10.0.0.1"], AAAA: ["fd00:0:0:0:0:0:0:1"], broken: "AAAA" });
    await expect(ask("half.test")).rejects.toMatchObject({ code: "NODE_ADDRESS" });
  });

  test("the system's own resolver, hosts file included", async () => {
    expect(await found("dns:localhost:11999")).toContain("127.0.0.1:11999");
  });

  test("an address is no name, and a DNS server has to be an address", async () => {
    await expect(ask("10.0.0.1:11211")).rejects.toMatchObject({ code: "NODE_ADDRESS" });
    await expect(found("dns:a.test", ["no address"])).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("elasticache", () => {
  let endpoint: ScriptedServer | undefined;
  const ask = async (answer: string) => {
    const script: Script = ({ line }) => [{ send: line === "config get cluster" ? answer : "ERROR\r\n" }];
    endpoint = await ScriptedServer.listen(script);
    return found(`elasticache:${endpoint.address}`);
  };
  const config = (servers: string) => `CONFIG cluster 0 ${servers.length + 4}\r\n12\n${servers}\n\r\nEND\r\n`;

  afterEach(() => endpoint?.close());

  test("names its servers by host, and by address where they have none", async () => {
    const servers = "one.example|10.0.0.1|11211 two.example||11212 |10.0.0.3|11213 |fd00::1|11214";
    expect(await ask(config(servers))).toEqual([
      "one.example:11211",
      "two.example:11212",
      "10.0.0.3:11213",
      "[fd00::1]:11214",
    ]);
  });

  test.each([
    ["an ordinary memcached", "ERROR\r\n", /is it a configuration endpoint/],
    ["something else", "HTTP/1.1 400 Bad Request\r\nEND\r\n", /answered "HTTP.*is it a configuration endpoint\?$/],
    ["no server", config(""), /names no server/],
    ["a server without a port", config("a|b"), /names "a\|b"/],
    ["a server of no name", config("||11211"), /names "\|\|11211"/],
    ["a port that is none", config("a|10.0.0.1|x"), /names "a\|/],
  ])("%s is refused", async (_, answer, message) => {
    await expect(ask(answer)).rejects.toMatchObject({
      code: "PROTOCOL_ERROR",
      message: expect.stringMatching(message),
    });
  });

  test("nobody there", async () => {
    await expect(found("elasticache:127.0.0.1:1")).rejects.toMatchObject({ code: "NODE_DOWN" });
  });
});

describe("file", () => {
  const folder = mkdtempSync(join(tmpdir(), "ringshift-discovery-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("a servers file, read at each look", async () => {
    const file = join(folder, "servers");
    writeFileSync(file, "a 2 10.0.0.1:11211\n10.0.0.2:11211 1\n");
    const source = sourceOf(`file:${file}`);
    expect(await source.find()).toEqual([
      { name: "a", address: "10.0.0.1:11211", weight: 2 },
      { name: "10.0.0.2:11211", address: "10.0.0.2:11211", weight: 1 },
    ]);
    writeFileSync(file, "");
    await expect(source.find()).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(found("file:/nonexistent/servers")).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

test.each(["", "dns:", "consul:x", "cache.example", "dns"])("%j is no source", (text) => {
  expect(() => sourceOf(text)).toThrow(/A source of servers is file:PATH, dns:HOST/);
});
