/** Rows of the failure table: a server stands still with commands in its socket, and whoever sent them is killed. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { isRingshiftError } from "../../src/errors.ts";
import type { Change } from "../../src/migration/change.ts";
import { type Bench, bench, onEnd, until } from "./support.ts";

const CHILD = fileURLToPath(new URL("./doomed-client.mjs", import.meta.url));

/** A process that writes `doomed` under the keys to a server that stands still, and is killed: its commands wait in the server's socket. */
async function leaveCommands(b: Bench, keys: readonly string[]): Promise<void> {
  const child = fork(CHILD, [b.cluster.redis.url], { execArgv: [] });
  onEnd(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const told: string[] = [];
  child.on("message", (message: string) => told.push(message));
  child.send(keys.slice()); // warms it up: its connections stand, and the keys are recorded
  await until(() => told.length === 1);
  const server = b.server(b.client.locate(keys[0]!).node);
  await server.kill("SIGSTOP");
  onEnd(() => server.kill("SIGCONT"));
  child.send(keys.slice());
  await until(() => told.length === 2); // the flushes are handed to the socket
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Applies it until the server that was away is there for it. */
async function applied(b: Bench, change: Change): Promise<void> {
  for (;;) {
    try {
      await b.admin.apply(change);
      return;
    } catch (error) {
      if (!isRingshiftError(error) || !["NODE_DOWN", "MIGRATION_STOPPED"].includes(error.code)) throw error;
    }
  }
}

test("a killed client's writes wait in a stopped server while it is removed: each happens once or never, and none comes back", async () => {
  const b = await bench();
  await b.fill(600);
  const stopped = b.servers[0]!;
  const keys = b.keysOn(stopped.address).slice(0, 60);
  await leaveCommands(b, keys);
  const removing = applied(b, { kind: "remove-node", names: [stopped.address] });
  await stopped.kill("SIGCONT");
  await removing;

  const after = await b.client.getMulti<string>(b.expected.keys());
  const neither = [...b.expected].filter(([key, value]) => {
    return after.get(key) !== value && !(keys.includes(key) && after.get(key) === "doomed");
  });
  expect(neither).toEqual([]);
  for (const [key, value] of after) b.expected.set(key, value);
  for (const key of keys.slice(0, 30)) {
    await b.client.set(key, `newer ${key}`);
    b.expected.set(key, `newer ${key}`);
  }
  for (const key of keys.slice(30, 40)) {
    await b.client.delete(key);
    b.expected.delete(key);
  }
  await b.admin.apply({ kind: "add-node", nodes: [{ address: stopped.address }] }, { flush: true });
  expect(await b.wrong()).toEqual([]);
  expect([...(await b.client.getMulti(keys.slice(30, 40))).keys()]).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true });
});

test("a killed client's writes wait in a stopped server that keys come back to: what was written since stays", async () => {
  const b = await bench();
  await b.fill(600);
  const stopped = b.servers[0]!;
  const { address } = await b.cluster.addMemcached();
  const keys = b.keysOn(stopped.address);
  await leaveCommands(b, keys.slice(0, 60));
  await stopped.kill("SIGCONT");
  await applied(b, { kind: "add-node", nodes: [{ address }] });
  for (const key of keys) b.expected.set(key, `newer ${key}`);
  await b.client.setMulti(b.expected);
  await applied(b, { kind: "remove-node", names: [address] });
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true });
});
