import { expect, test } from "vitest";
import { LocalCluster } from "../../src/testing/index.ts";
import { Cli, sample } from "./support.ts";

test("status --watch outlives the absence of the cluster, of nodes and of Redis, says so once, and ends with 0", async () => {
  const cluster = await LocalCluster.start({ memcached: 2 });
  const cli = new Cli(cluster.redis);
  const watch = cli.start("status", "--watch", "0.1");
  try {
    const [first, second] = cluster.servers;
    const missing = await watch.until("stderr", /NOT_INITIALISED: /);
    await cli.run(["init", ...cluster.servers]);
    let seen = await watch.until("stdout", new RegExp(`epoch 0; phase S; UN ${first}, UN ${second}\n`));
    await cluster.memcached[1]!.kill();
    seen = await watch.until("stdout", new RegExp(`UN ${first}, DN ${second}\n`), seen);
    await cluster.memcached[1]!.restart();
    seen = await watch.until("stdout", new RegExp(`UN ${first}, UN ${second}\n`), seen);
    await cluster.redis.kill("SIGSTOP");
    await watch.until("stderr", /REDIS_UNREACHABLE: /, missing);
    await cluster.redis.kill("SIGCONT");
    seen = await watch.until("stdout", new RegExp(`UN ${first}, UN ${second}\n`), seen);
    for (const [key, value] of [...sample(5)]) await cli.run(["set", key, value]); // traffic alone is no news
    await cli.run(["set-weight", first!, "2", "--yes"]);
    await watch.until("stdout", /phase S; /, seen);
  } finally {
    watch.child.kill("SIGTERM");
    await cluster.stop();
  }
  const { code, stdout, stderr } = await watch.outcome();
  expect(code).toBe(0);
  const lines = [stdout.toString(), stderr].map((text) => text.trimEnd().split("\n"));
  for (const line of lines.flat()) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z /);
  const states = lines[0]!.filter((line) => line.includes("epoch 0; ")).map((line) => line.match(/[UD]N/g)!.join(" "));
  expect(states).toEqual(["UN UN", "UN DN", "UN UN", "UN UN"]); // started, node gone, node back, Redis back
  expect(lines[1]!.map((line) => line.split(" ")[2])).toEqual(["NOT_INITIALISED:", "REDIS_UNREACHABLE:"]);
});

test("status --watch --json is a document a line", async () => {
  const cluster = await LocalCluster.start({ memcached: 1 });
  const cli = new Cli(cluster.redis);
  const watch = cli.start("status", "--watch", "0.1", "--json");
  try {
    await watch.until("stdout", /NOT_INITIALISED.*\n/);
    await cli.run(["init", ...cluster.servers]);
    await watch.until("stdout", /"state":"UN".*\n/);
  } finally {
    watch.child.kill("SIGINT");
    await cluster.stop();
  }
  const { code, stdout, stderr } = await watch.outcome();
  expect([code, stderr]).toEqual([0, ""]);
  const documents = stdout
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(documents[0]).toMatchObject({ error: { code: "NOT_INITIALISED" } });
  expect(documents.at(-1)).toMatchObject({ epoch: 0, nodes: [{ state: "UN" }] });
});
