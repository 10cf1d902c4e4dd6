/** A change that is killed, interrupted, or met by another one: reads and writes go on, and the same command ends it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ChangeReport, type Client, createClient } from "../../src/index.ts";
import { LocalCluster, startMemcached } from "../../src/testing/index.ts";
import { Cli, type Run, type Status, sample } from "./support.ts";

/** With 600 keys or so to move, this leaves time enough to be killed. */
const SLOWLY = ["--rate", "60"];
/** Nothing moves within a test. */
const HARDLY = ["--rate", "1"];
const KEYS = sample(2_000);
let cluster: LocalCluster;
let cli: Cli;
let client: Client;
let joining: string;

beforeEach(async () => {
  cluster = await LocalCluster.start({ memcached: 3 });
  cli = new Cli(cluster.redis);
  const [first, second, third] = cluster.servers;
  joining = third!;
  client = await createClient({ redis: cluster.redis.url, servers: [first!, second!] });
  await client.setMulti(KEYS);
});

afterEach(async () => {
  await client?.quit();
  await cluster?.stop();
});

const status = () => cli.json<Status>("status");
const exists = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Starts the change and resolves when it has moved keys and is to move more. */
async function startSlowly(...change: string[]): Promise<Run> {
  const run = cli.start(...change, ...SLOWLY, "--yes");
  await run.until("stderr", /\d+\/\d+ sets, [1-9]\d* keys moved\n/);
  return run;
}

async function expectJoined(): Promise<void> {
  const { phase, operation, nodes } = await status();
  expect([phase, operation]).toEqual(["S", null]);
  expect(nodes.map(({ name, state }) => [name, state])).toEqual(cluster.servers.map((name) => [name, "UN"]));
}

test("kill -9 half-way: clients read and write on, the same command finishes, nothing is lost", async () => {
  const killed = await startSlowly("add-node", joining);
  killed.child.kill("SIGKILL");
  expect(await killed.outcome()).toMatchObject({ code: null });
  const { phase, operation, nodes } = await status();
  expect(phase).toBe("D");
  expect(operation).toMatchObject({ command: `add-node ${joining}`, state: "copying" });
  expect(operation!.setsDone).toBeLessThan(operation!.sets);
  expect(nodes.map((node) => node.state)).toEqual(["UN", "UN", "UJ"]);

  const some = [...KEYS.keys()].slice(0, 200);
  expect(await client.getMulti(some)).toEqual(new Map(some.map((key) => [key, KEYS.get(key)])));
  const written = new Map([...KEYS].slice(200, 300).map(([key]) => [key, "written meanwhile"]));
  await client.setMulti(written);

  const report = await cli.json<ChangeReport>("add-node", joining, "--yes");
  expect(report).toMatchObject({ command: `add-node ${joining}`, resumed: true });
  expect(await client.getMulti(KEYS.keys())).toEqual(new Map([...KEYS, ...written]));
  await expectJoined();
});

test.each(["SIGINT", "SIGTERM"] as const)("%s: exit 130, and the same command resumes", async (signal) => {
  const run = await startSlowly("add-node", joining, "--name", "third", "--weight", "1");
  run.child.kill(signal);
  const { code, stdout, stderr } = await run.outcome();
  expect([code, stdout.length]).toEqual([130, 0]);
  expect(stderr).toMatch(/\n\[WARNING\] Interrupted: stopping\n/);
  const command = `ringshift add-node ${joining} --name third --weight 1`;
  expect(stderr.endsWith(`the same command resumes: ${command}\n`)).toBe(true);
  expect((await status()).phase).toBe("D");
  const again = await cli.run([...command.split(" ").slice(1), "--yes"]);
  expect(again).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^>>> Resuming add-node .*\(copying, \d+\/\d+ sets/),
  });
  expect(await client.getMulti(KEYS.keys())).toEqual(KEYS);
});

test("another change meanwhile is busy, and changes nothing; a copier that waits is interrupted, too", async () => {
  const first = cli.start("add-node", joining, ...HARDLY, "--yes");
  await first.until("stderr", />>> Copying /);
  const others = [
    ["remove-node", cluster.servers[0]!, "--yes"],
    ["set-weight", cluster.servers[0]!, "2", "--yes"],
    ["add-node", joining, "--weight", "2", "--yes"],
    ["plan", "remove-node", cluster.servers[0]!],
    ["plan", "add-node", joining],
  ];
  for (const args of others) {
    const { code, stdout, stderr } = await cli.run([...args, "--json"]);
    expect(code).toBe(6);
    const { error } = JSON.parse(stdout.toString());
    const message = `"ringshift add-node ${joining}" is under way (process ${first.child.pid} on`;
    expect(error).toEqual({ code: "MIGRATION_RUNNING", message: expect.stringContaining(message) });
    expect(stderr).toBe("");
  }
  const { operation } = await cli.json<Status>("migration", "status");
  expect(operation).toMatchObject({ state: "copying", coordinator: { pid: first.child.pid } });
  const told = (await cli.run(["migration", "status"])).stdout.toString();
  expect(told).toMatch(
    new RegExp(
      `^Command +ringshift add-node ${joining}\nBegun +\\d{4}-.*\nPhase +D, copying\nProgress +\\d+/\\d+ sets`,
    ),
  );
  first.child.kill("SIGINT");
  expect(await first.outcome()).toMatchObject({ code: 130 });
  expect(await cli.run(["add-node", joining, "--yes"])).toMatchObject({ code: 0 });
  expect(await client.getMulti(KEYS.keys())).toEqual(KEYS);
  await expectJoined();
});

test("an unfinished change has to be finished before another one", async () => {
  const killed = await startSlowly("remove-node", cluster.servers[1]!);
  killed.child.kill("SIGKILL");
  await killed.outcome();
  expect(exists(killed.child.pid!)).toBe(false);
  expect((await status()).nodes.map((node) => node.state)).toEqual(["UN", "UL"]);
  const { code, stderr } = await cli.run(["add-node", joining, "--yes"]);
  expect(code).toBe(6);
  expect(stderr).toContain(`"ringshift remove-node ${cluster.servers[1]}" was begun and is not finished: run it again`);
  expect(await cli.run(["remove-node", cluster.servers[1]!, "--yes"])).toMatchObject({ code: 0 });
  expect(await cli.run(["add-node", joining, "--yes"])).toMatchObject({ code: 0 });
  expect(await client.getMulti(KEYS.keys())).toEqual(KEYS);
});

test("a server that cannot store a value is refused, or stops the change with exit 3, and once that is mended it resumes", async () => {
  const small = await startMemcached({ args: ["-I", "16k", "-o", "slab_chunk_max=16384"] });
  try {
    const large = new Map([...KEYS.keys()].map((key) => [key, "x".repeat(20_000)]));
    await client.setMulti(large);
    const before = await status();
    const refused = await cli.run(["add-node", small.address, "--yes"]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/\[ERR\] WOULD_NOT_FIT: .*--force/) });
    expect(await status()).toEqual(before);
    const { code, stderr } = await cli.run(["add-node", small.address, "--yes", "--force"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/\[ERR\] WOULD_NOT_FIT: .*memcached -m, -I.*same command/);
    expect(await status()).toMatchObject({ phase: "D", operation: { command: `add-node ${small.address}` } });
    await client.setMulti(KEYS);
    expect(await cli.run(["add-node", small.address, "--yes"])).toMatchObject({ code: 0 });
    expect(await client.getMulti(KEYS.keys())).toEqual(KEYS);
  } finally {
    await small.stop();
  }
});
