/** Row of the failure table: a client is stopped for longer than whole migrations, then continued. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { bench, onEnd, until } from "./support.ts";

const CHILD = fileURLToPath(new URL("./stopped-client.mjs", import.meta.url));

test("a client stopped for longer than two migrations reads nothing stale and loses no acknowledged write", async () => {
  const b = await bench();
  await b.fill(400);
  const child = fork(CHILD, [b.cluster.redis.url], { execArgv: [] });
  onEnd(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const answers: { read?: [string, string | null][]; written?: [string, number][]; unwritten?: string[] }[] = [];
  child.on("message", (answer: (typeof answers)[number]) => answers.push(answer));
  child.send({ read: [...b.expected.keys()] });
  await until(() => answers.length === 1);

  child.send({ write: 200 }); // it stands in the middle of writing, and has more to do when it goes on
  await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGSTOP");
  child.send({ read: [...b.expected.keys()] });
  child.send({ write: 200 });
  const server = await b.cluster.addMemcached();
  await b.admin.apply({ kind: "add-node", nodes: [{ address: server.address }] });
  for (const key of b.expected.keys()) b.expected.set(key, `newer ${key}`);
  await b.client.setMulti(b.expected);
  await b.admin.apply({ kind: "remove-node", names: [b.servers[0]!.address] });
  child.kill("SIGCONT");

  await until(() => answers.length === 4 || child.exitCode !== null);
  expect(child.exitCode).toBeNull();
  const read = new Map(answers.flatMap((answer) => answer.read ?? []).slice(400));
  expect([...b.expected].filter(([key, value]) => read.get(key) !== value)).toEqual([]);
  const written = new Map(answers.flatMap((answer) => answer.written ?? []));
  expect(written.size).toBeGreaterThan(0);
  const found = await b.client.getMulti<number>(written.keys());
  expect([...written].filter(([key, value]) => found.get(key) !== value)).toEqual([]);
  const unwritten = answers.flatMap((answer) => answer.unwritten ?? []); // out of time, with nothing written
  expect([...(await b.client.getMulti(unwritten)).keys()]).toEqual([]);
});
