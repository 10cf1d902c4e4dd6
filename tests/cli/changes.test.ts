/** The happy paths of what changes a cluster, one after the other on one cluster. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ChangeReport, type Client, createClient, type Plan, Ring } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { Cli, type Status, sample } from "./support.ts";

const KEYS = sample(2_000);
let cluster: LocalCluster;
let cli: Cli;
let client: Client;
let servers: string[];

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 5 });
  servers = cluster.servers;
  cli = new Cli(cluster.redis);
});

afterAll(async () => {
  await client?.quit();
  await cluster?.stop();
});

const status = () => cli.json<Status>("status");
const allThere = async () => expect(await client.getMulti(KEYS.keys())).toEqual(KEYS);

/** Keys per node by the ring of these nodes, which is what the index has to say. */
function shares(nodes: readonly { name: string; weight?: number; vnodes?: number }[]): Map<string, number> {
  const ring = new Ring(nodes);
  const counts = new Map(nodes.map(({ name }) => [name, 0]));
  for (const key of KEYS.keys()) {
    const [, name] = ring.getServer(key);
    counts.set(name, counts.get(name)! + 1);
  }
  return counts;
}

test("init starts a cluster from ketama's servers file, once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ringshift-cli-"));
  try {
    const file = join(folder, "servers");
    await writeFile(file, `# ketama\n${servers[0]} 1\nsecond 1 ${servers[1]}\n${servers[2]}\t1\n`);
    const made = await cli.run(["init", "--servers-file", file]);
    expect(made).toMatchObject({ code: 0, stderr: expect.stringMatching(`>>> Checking ${servers[1]}\n`) });
    expect(made.stderr).toMatch(/\[OK\] Cluster default has 3 nodes\n$/);
    const again = await cli.run(["init", "--servers-file", file]);
    expect(again).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[ERR\] ALREADY_INITIALISED: .*--if-needed/),
    });
    const nodes = [
      { index: 0, name: servers[0], address: servers[0], weight: 1 },
      { index: 1, name: "second", address: servers[1], weight: 1 },
      { index: 2, name: servers[2], address: servers[2], weight: 1 },
    ];
    expect(await cli.json("init", servers[4]!, "--if-needed")).toEqual({ namespace: "default", nodes, created: false });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("status has every node with its state, ring share, entries and statistics", async () => {
  client = await createClient({ redis: cluster.redis.url });
  await client.setMulti(KEYS);
  const found = await status();
  expect(found).toMatchObject({
    namespace: "default",
    epoch: 0,
    phase: "S",
    settling: false,
    confirmed: true,
    generation: 0,
    operation: null,
  });
  const counts = shares([{ name: servers[0]! }, { name: "second" }, { name: servers[2]! }]);
  expect(
    found.nodes.map(({ name, state, weight, points, entries }) => ({ name, state, weight, points, entries })),
  ).toEqual(Array.from(counts, ([name, entries]) => ({ name, state: "UN", weight: 1, points: 160, entries })));
  for (const node of found.nodes) {
    expect(node).toMatchObject({ limitBytes: 64 * 2 ** 20, evictions: 0, version: expect.stringMatching(/^1\.6\./) });
    expect(node.items).toBe((node.entries as number) + 2); // and its fence and marker
    expect(node.bytes).toBeGreaterThan(0);
  }
  expect(found.nodes.reduce((sum, node) => sum + (node.share as number), 0)).toBeCloseTo(1, 12);
  const { code, stdout } = await cli.run(["status"]);
  expect(code).toBe(0);
  expect(stdout.toString()).toMatch(/^Cluster default: epoch 0, phase S \(stable\), confirmed, generation 0\n/);
  expect(stdout.toString()).toMatch(new RegExp(`^UN  second  +${servers[1]} +1 +1 +160 `, "m"));
});

test("status --exact counts live keys on the servers, not entries", async () => {
  await Promise.all(["key:0", "key:1"].map((key) => client.delete(key)));
  const { nodes } = await cli.json<Status>("status", "--exact");
  const sum = (field: string) => nodes.reduce((total, node) => total + (node[field] as number), 0);
  expect([sum("entries"), sum("keys")]).toEqual([2_000, 1_998]);
  await client.setMulti(["key:0", "key:1"].map((key) => [key, KEYS.get(key)] as const));
});

test("plan shows the moves and changes nothing; --dry-run is the same", async () => {
  const before = await status();
  const plan = await cli.json<Plan & { command: string }>("plan", "add-node", servers[3]!, "--name", "fourth");
  expect(plan.command).toBe(`add-node fourth=${servers[3]}`);
  const after = shares([...plan.nodes]);
  expect(plan.keys).toBe(after.get("fourth"));
  expect(plan.moves.map(({ from, to }) => [from, to]).sort()).toEqual(
    [servers[0], "second", servers[2]].map((from) => [from, "fourth"]).sort(),
  );
  expect(plan.moves.reduce((sum, move) => sum + move.keys, 0)).toBe(plan.keys);
  expect(plan.idealShare).toBeCloseTo(0.25, 12);
  expect(plan).toMatchObject({ setsTotal: 480, arcs: plan.moves.reduce((sum, move) => sum + move.arcs, 0) });
  expect(plan.setsRead).toBeLessThan(plan.setsTotal);
  expect(await cli.json("add-node", servers[3]!, "--name", "fourth", "--dry-run")).toEqual(plan);
  const text = (await cli.run(["plan", "add-node", servers[3]!, "--name", "fourth"])).stdout.toString();
  expect(text).toMatch(/^From +To +Arcs +Keys\n/);
  expect(text).toContain(`\nKeys to move  ${plan.keys}\n`);
  expect(text).toMatch(/\nRing share +\d\d\.\d\d % moves; an ideal ring would move 25\.00 %\n/);
  expect(text).toContain(`\nSets read     ${plan.setsRead} of 480\n`);
  expect(await status()).toEqual(before);
});

test("add-node moves the new node's share, in steps on stderr and a report on stdout", async () => {
  const { code, stdout, stderr } = await cli.run(["add-node", servers[3]!, "--name", "fourth", "--yes"]);
  expect(code).toBe(0);
  const steps = [
    `>>> Checking ${servers[3]}`,
    `>>> Planning add-node fourth=${servers[3]}`,
    "[OK] fourth runs memcached 1.6.",
    ">>> Raising the fences",
    ">>> Copying ",
    " keys moved\n",
    ">>> Cleaning the index",
    `[OK] add-node fourth=${servers[3]}: done\n`,
  ];
  let at = 0;
  for (const step of steps) {
    expect(stderr.slice(at)).toContain(step);
    at = stderr.indexOf(step, at) + step.length;
  }
  expect(at).toBe(stderr.length);
  expect(stdout.toString()).toMatch(
    /^Keys moved +\d+ of \d+ entries.*\nRing share.*\nSets read +\d+ of 480\nTime .*\nEpoch +\d+\n$/,
  );
  const { nodes, phase, operation } = await status();
  expect([phase, operation, nodes.length]).toEqual(["S", null, 4]);
  expect(nodes[3]).toMatchObject({ index: 3, name: "fourth", address: servers[3], state: "UN", points: 160 });
  await allThere();
});

test("set-weight and set-vnodes change a node's points, and keys follow", async () => {
  const heavier = await cli.json<ChangeReport>("set-weight", "second", "2.5", "--yes");
  expect(heavier).toMatchObject({ command: "set-weight second 2.5", resumed: false });
  expect((await status()).nodes[1]).toMatchObject({ name: "second", weight: 2.5, points: 400 });
  await cli.json("set-vnodes", "second", "20", "--yes");
  const { nodes } = await status();
  expect(nodes[1]).toMatchObject({ name: "second", vnodes: 20, points: 80 });
  expect(nodes[1]).not.toHaveProperty("weight");
  const rings = nodes as unknown as { name: string; vnodes?: number }[];
  const counts = shares(rings.map(({ name, vnodes }) => (vnodes === undefined ? { name } : { name, vnodes })));
  expect(nodes.map((node) => [node.name, node.entries])).toEqual([...counts]);
  await allThere();
});

test("several nodes go and come in one migration each", async () => {
  const removed = await cli.json<ChangeReport>("remove-node", "fourth", "second", "--yes");
  expect(removed.command).toBe("remove-node fourth second");
  expect((await status()).nodes.map((node) => node.name)).toEqual([servers[0], servers[2]]);
  await allThere();
  // the servers that left hold our fences, which are no keys
  const added = await cli.json<ChangeReport>("add-node", servers[1]!, servers[3]!, "--weight", "1.5", "--yes");
  expect(added.epoch).toBe(removed.epoch + 4); // settled, F, D, S
  const { nodes } = await status();
  expect(nodes.map(({ index, name, points }) => [index, name, points])).toEqual([
    [0, servers[0], 160],
    [2, servers[2], 160],
    [4, servers[1], 240],
    [5, servers[3], 240],
  ]);
  await allThere();
});

test("migration status has nothing to tell when nothing runs", async () => {
  const { epoch } = await status();
  const document = { namespace: "default", epoch, phase: "S", settling: false, operation: null };
  expect(await cli.json("migration", "status")).toEqual(document);
  expect((await cli.run(["migration", "status"])).stdout.toString()).toBe(`Nothing runs (epoch ${epoch}, phase S).\n`);
});

test("two namespaces on the same servers know nothing of each other", async () => {
  const shop = ["--namespace", "shop"];
  expect(await cli.json("init", servers[4]!, servers[0]!, ...shop)).toMatchObject({ namespace: "shop", created: true });
  await cli.run(["set", "key:0", "the shop's", ...shop]);
  expect((await cli.run(["get", "key:0", ...shop])).stdout.toString()).toBe("the shop's");
  await cli.json("remove-node", servers[0]!, "--yes", ...shop);
  expect((await cli.run(["get", "key:0", ...shop])).stdout.toString()).toBe("the shop's");
  expect((await cli.json<Status>("status", "--exact", ...shop)).nodes).toMatchObject([{ entries: 1, keys: 1 }]);
  await allThere();
});

test("status with a node down shows it and is exit 5", async () => {
  await cluster.memcached[2]!.kill();
  const { code, stdout, stderr } = await cli.run(["status"]);
  expect([code, stderr]).toEqual([5, `[WARNING] ${servers[2]} at ${servers[2]} does not answer.\n`]);
  expect(stdout.toString()).toMatch(new RegExp(`^DN  ${servers[2]} `, "m"));
  const asked = await cli.run(["status", "--json"]);
  expect(asked.code).toBe(5);
  const [, down] = JSON.parse(asked.stdout.toString()).nodes;
  expect(down).toMatchObject({ name: servers[2], state: "DN", points: 160 });
  expect(down).not.toHaveProperty("items");
});
