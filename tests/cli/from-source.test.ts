/** `init --from` and `plan --from`: servers that are named elsewhere, and the commands that would follow them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { LocalCluster } from "../../src/testing/index.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";
import { Cli, Run } from "./support.ts";

let cluster: LocalCluster;
let cli: Cli;
let endpoint: ScriptedServer;

/** What the configuration endpoint names. */
function name(addresses: readonly string[]): void {
  const words = addresses.map((address) => `${address.split(":")[0]}||${address.split(":")[1]}`).join(" ");
  endpoint.script = () => [{ send: `CONFIG cluster 0 ${words.length + 4}\r\n12\n${words}\n\r\nEND\r\n` }];
}

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 3 });
  cli = new Cli(cluster.redis);
  endpoint = await ScriptedServer.listen(() => [{ send: "ERROR\r\n" }]);
});

afterAll(async () => {
  await endpoint?.close();
  await cluster?.stop();
});

test("a cluster is started from a source, and plans follow what it names; nothing is changed", async () => {
  const [a, b, c] = cluster.servers as [string, string, string];
  const from = ["--from", `elasticache:${endpoint.address}`];
  name([a, b]);
  expect(await cli.run(["init", ...from])).toMatchObject({ code: 0 });
  const same = await cli.run(["plan", ...from]);
  expect(same).toMatchObject({ code: 0, stderr: expect.stringContaining("[OK] The cluster has the servers that") });
  expect(same.stdout).toHaveLength(0);
  name([b, c]);
  const plan = await cli.run(["plan", ...from]);
  expect(plan.code).toBe(0);
  const text = plan.stdout.toString();
  expect(text).toMatch(new RegExp(`^ringshift add-node ${c}\n\nFrom .*Ring share`, "s"));
  expect(text).toContain(`ringshift remove-node ${a}\n`);
  const document = await cli.json<{ source: string; add: unknown; remove: unknown; changes: { command: string }[] }>(
    "plan",
    ...from,
  );
  expect(document).toMatchObject({ source: from[1], add: [{ address: c }], remove: [a] });
  expect(document.changes.map(({ command }) => command)).toEqual([`add-node ${c}`, `remove-node ${a}`]);
  const { nodes } = await cli.json<{ nodes: { name: string }[] }>("status");
  expect(nodes.map((node) => node.name)).toEqual([a, b]);
});

test("--from discovery is what RINGSHIFT_DISCOVERY says", async () => {
  const unset = await cli.run(["plan", "--from", "discovery"]);
  expect(unset).toMatchObject({ code: 2, stderr: expect.stringContaining("RINGSHIFT_DISCOVERY, which is not set") });
  const env = { RINGSHIFT_REDIS: cluster.redis.url, RINGSHIFT_DISCOVERY: `elasticache:${endpoint.address}` };
  const run = new Run(["plan", "--from", "discovery"], env);
  run.child.stdin.end();
  expect((await run.outcome()).code).toBe(0);
});

test("an address that is no configuration endpoint is one question, not two", async () => {
  const from = `elasticache:${cluster.servers[0]}`;
  const message = `${cluster.servers[0]}: config get cluster was answered ERROR: is it a configuration endpoint?`;
  const { stderr } = await cli.run(["plan", "--from", from]);
  expect(stderr).toContain(`[ERR] PROTOCOL_ERROR: ${message}\n`);
});

test.each([
  ["no source", ["plan", "--from", "cache.example"], "A source of servers is file:PATH, dns:HOST"],
  ["two sources", ["init", "a", "--from", "dns:b"], "or --from SOURCE"],
])("%s is refused", async (_, args, message) => {
  expect(await cli.run(args)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
});
