/** Issue 2's bad input: each is a coded error that says what to do, an exit code, and a cluster that is as it was. */
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ClusterStatus, clusterStatus } from "../../src/cli/cluster-status.ts";
import { type Admin, type Client, createClient, openAdmin } from "../../src/index.ts";
import { LocalCluster, type MemcachedServer, startMemcached, startRedis } from "../../src/testing/index.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";
import { Cli, type Status, sample } from "./support.ts";

const KEYS = sample(100);
let cluster: LocalCluster;
let cli: Cli;
let client: Client;
let empty: MemcachedServer;
let withoutCas: MemcachedServer;
let filled: MemcachedServer;
let old: ScriptedServer;
let proxy: ScriptedServer;
let stranger: ScriptedServer;
let redis: Redis;
let admin: Admin;
let before: ClusterStatus;

/** A server of that version, with statistics such as memcached gives. */
function listen(version: string, settings: string): Promise<ScriptedServer> {
  return ScriptedServer.listen(({ line }) => {
    const answers: Record<string, string> = {
      version: `VERSION ${version}\r\n`,
      mn: "MN\r\n",
      stats: "STAT pid 1\r\nSTAT curr_items 0\r\nEND\r\n",
      "stats settings": settings,
    };
    return [{ send: answers[line] ?? "ERROR\r\n" }];
  });
}

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 2 });
  cli = new Cli(cluster.redis);
  client = await createClient({ redis: cluster.redis.url, servers: cluster.servers });
  await client.setMulti(KEYS);
  [empty, withoutCas, filled] = await Promise.all([
    startMemcached(),
    startMemcached({ args: ["-C"] }),
    startMemcached(),
  ]);
  const foreign = await createClient({ servers: [filled.address] });
  await foreign.set("theirs", "kept");
  await foreign.quit();
  old = await listen("1.6.12", "STAT item_size_max 1048576\r\nSTAT cas_enabled yes\r\nEND\r\n");
  proxy = await listen("mcrouter 1.0", "END\r\n");
  stranger = await ScriptedServer.listen(() => [{ send: "HTTP/1.1 400 Bad Request\r\n" }]);
  redis = new Redis(cluster.redis.url);
  admin = await openAdmin({ redis: cluster.redis.url });
  before = await clusterStatus(admin, "default", false);
});

afterAll(async () => {
  redis?.disconnect();
  await admin?.close();
  await client?.quit();
  for (const server of [old, proxy, stranger]) await server?.close();
  await Promise.all([cluster, empty, withoutCas, filled].map((server) => server?.stop()));
});

/** Runs the commands side by side and expects of each the code, the advice, and the cluster as it was. */
async function refused(commands: readonly (readonly string[])[], exit: number, code: string, advice: RegExp) {
  for (const { code: ended, stdout, stderr } of await Promise.all(
    commands.map((args) => cli.run([...args, "--json"])),
  )) {
    const { error } = JSON.parse(stdout.toString());
    expect([error.code, ended]).toEqual([code, exit]);
    expect(error.message).toMatch(advice);
    expect(stderr).not.toMatch(/\[ERR\]|^ +at /m);
  }
  expect(await clusterStatus(admin, "default", false)).toEqual(before);
}

/** The change itself, and the plan of it. */
const adding = (...args: string[]) => [
  ["add-node", ...args, "--yes"],
  ["plan", "add-node", ...args],
];
const removing = (...names: string[]) => [
  ["remove-node", ...names, "--yes"],
  ["plan", "remove-node", ...names],
];

describe("add-node", () => {
  test("of a server that does not answer", () => {
    return refused(adding("127.0.0.1:1"), 4, "NODE_DOWN", /ECONNREFUSED.*running/);
  });
  test("of a name that nobody knows", () => {
    return refused(adding("nosuch.invalid"), 2, "NODE_ADDRESS", /nosuch\.invalid cannot be resolved/);
  });
  test("of a node that is there already", () => {
    return refused(adding(cluster.servers[1]!), 2, "NODE_EXISTS", /already.*ringshift status/);
  });
  test("of the same server under another name", () => {
    return refused(adding(cluster.servers[1]!, "--name", "other"), 2, "NODE_EXISTS", /already.*ringshift status/);
  });
  test("of a server that holds keys", () => {
    return refused(adding(filled.address), 2, "NODE_NOT_EMPTY", /"theirs".*--flush/);
  });
  test("of a server without CAS", () => refused(adding(withoutCas.address), 2, "CAS_DISABLED", /without -C/));
  test("of a server that is too old", () => {
    return refused(adding(old.address), 2, "VERSION_TOO_OLD", /1\.6\.12.*1\.6\.13/);
  });
  test("of a proxy", () => refused(adding(proxy.address), 2, "PROXY", /--force/));
  test("of something else", () =>
    refused(adding(stranger.address), 1, "PROTOCOL_ERROR", /is this address a memcached's/));
  test("with more weight than a ring takes", () => {
    return refused(adding(empty.address, "--weight", "200"), 2, "INVALID_OPTION", /weight 200/);
  });
  test("with weight and vnodes", () => {
    const both = adding(empty.address, "--weight", "2", "--vnodes", "80");
    return refused(both, 2, "INVALID_OPTION", /--weight or --vnodes/);
  });
  test("under a name that is a trap", () => {
    return refused(adding(empty.address, "--name", "__proto__"), 2, "INVALID_OPTION", /__proto__/);
  });
  test("of a good server and a bad one: none is added", () => {
    return refused(adding(empty.address, filled.address), 2, "NODE_NOT_EMPTY", /--flush/);
  });
});

test("remove-node of an unknown node", () =>
  refused(removing("nobody"), 2, "NODE_UNKNOWN", /nobody.*ringshift status/));
test("remove-node of all nodes", () => refused(removing(...cluster.servers), 2, "LAST_NODE", /ringshift add-node/));

test("weights and vnodes of an unknown node", () => {
  const commands = [
    ["set-weight", "nobody", "2", "--yes"],
    ["set-vnodes", "constructor", "80", "--yes"],
  ];
  return refused(commands, 2, "NODE_UNKNOWN", /ringshift status/);
});

test("vnodes beyond what a ring takes", () => {
  return refused([["set-vnodes", cluster.servers[0]!, "5000", "--yes"]], 2, "INVALID_OPTION", /1 to 4096/);
});

test("a Redis that may evict the index", async () => {
  await redis.config("SET", "maxmemory-policy", "allkeys-lru");
  try {
    const commands = [...adding(empty.address), ...removing(cluster.servers[0]!)];
    const other = ["init", empty.address, "--namespace", "other"];
    await refused([...commands, other], 2, "REDIS_EVICTS", /allkeys-lru.*noeviction/);
  } finally {
    await redis.config("SET", "maxmemory-policy", "noeviction");
  }
});

describe("init", () => {
  test("of a cluster that is there already", () => {
    return refused([["init", empty.address]], 2, "ALREADY_INITIALISED", /--if-needed/);
  });

  test.each([
    ["a server that does not answer", (): string => "127.0.0.1:1", 4, "NODE_DOWN"],
    ["a server without CAS", (): string => withoutCas.address, 2, "CAS_DISABLED"],
    ["a server that is too old", (): string => old.address, 2, "VERSION_TOO_OLD"],
    ["a proxy", (): string => proxy.address, 2, "PROXY"],
  ] as const)("with %s starts none", async (_, address, exit, code) => {
    await refused([["init", empty.address, address(), "--namespace", "other"]], exit, code, /./);
    expect(await redis.keys("ringshift:other:*")).toEqual([]);
  });

  test("with a server that holds keys, until it is told what to do with them", async () => {
    const fresh = await startRedis();
    const other = new Cli(fresh);
    try {
      const refusal = await other.run(["init", filled.address]);
      expect(refusal).toMatchObject({ code: 2, stderr: expect.stringMatching(/\[ERR\] NODE_NOT_EMPTY: .*--flush/) });
      expect(await other.json("init", filled.address, "--adopt")).toMatchObject({ created: true });
      expect((await other.run(["get", "theirs"])).stdout.toString()).toBe("kept");
    } finally {
      await fresh.stop();
    }
  });
});

test("without --json a refusal is one coded line on stderr, after the steps", async () => {
  const { code, stdout, stderr } = await cli.run(["add-node", filled.address, "--yes"]);
  expect([code, stdout.length]).toEqual([2, 0]);
  expect(stderr).toMatch(/^>>> Checking [^\n]*\n>>> Planning [^\n]*\n\[ERR\] NODE_NOT_EMPTY: [^\n]*--flush[^\n]*\n$/);
});

test("after all this the cluster has what it had, and --flush takes the server that held keys", async () => {
  expect(await cli.json<Status>("status")).toEqual(JSON.parse(JSON.stringify(before)));
  expect(await client.getMulti(KEYS.keys())).toEqual(KEYS);
  await cli.json("add-node", filled.address, "--flush", "--yes");
  expect(await client.get("theirs")).toBeUndefined();
  expect(await client.getMulti(KEYS.keys())).toEqual(KEYS);
});
