/** Several connections to one server: a key keeps to one of them, what is bound to a connection goes there, and health is the server's. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { metaGet, metaSet } from "../../src/memcached/commands.ts";
import { LinkPool, type LinkPoolOptions } from "../../src/memcached/pool.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { failureOf } from "./support.ts";

let server: ScriptedServer;
let pool: LinkPool;
const node = () => ({ name: "a", address: server.address });
const keys = Array.from({ length: 60 }, (_, i) => `key:${i}`);

beforeEach(async () => {
  server = await ScriptedServer.listen();
});
afterEach(async () => {
  await pool.close();
  await server.close();
});

function open(options: LinkPoolOptions = {}): void {
  pool = new LinkPool({ connections: 3, timeoutMs: 60_000, random: () => 0, ...options });
}

/** Connections by key, of all requests so far. */
function taken(): Map<string, Set<number>> {
  const found = new Map<string, Set<number>>();
  for (const { line, connection } of server.requests) {
    const key = line.split(" ")[1]!;
    found.set(key, (found.get(key) ?? new Set()).add(connection));
  }
  return found;
}

test("all are used, and a key always goes over the same one", async () => {
  open();
  for (const round of [1, 2]) {
    await Promise.all(keys.map((key) => pool.exchange(node(), [metaGet(key, "v")])));
    await Promise.all(
      keys.map((key) => pool.link(node()).exchange([metaSet(key, Buffer.from([round]), { flags: 0, ttl: 0 })])),
    );
  }
  expect(server.connections).toBe(3);
  const perKey = [...taken().values()];
  expect(perKey).toHaveLength(keys.length);
  expect(perKey.every((connections) => connections.size === 1)).toBe(true);
  expect(new Set(perKey.flatMap((connections) => [...connections])).size).toBe(3);
});

test("one connection is enough for who did not ask for more", async () => {
  open({ connections: undefined });
  await Promise.all(keys.map((key) => pool.exchange(node(), [metaGet(key, "v")])));
  expect(server.connections).toBe(1);
});

test("an exchange takes the connection of its last command: what goes before is on its behalf", async () => {
  open();
  await Promise.all(keys.map((key) => pool.exchange(node(), [metaGet("fence", "v"), metaGet(key, "v")])));
  const perKey = taken();
  expect(perKey.get("fence")!.size).toBe(3);
  perKey.delete("fence");
  expect([...perKey.values()].every((connections) => connections.size === 1)).toBe(true);
});

test("what is bound to a connection goes over it, whatever its key; when it is gone nothing is sent", async () => {
  open();
  const seen = await Promise.all(keys.map((key) => pool.exchange(node(), [metaGet(key, "c")])));
  for (const { connection } of seen) {
    const { connection: used } = await pool.exchange(node(), [metaGet("other", "c")], connection);
    expect(used.id).toBe(connection.id);
  }
  expect(taken().get("other")!.size).toBe(3);
  server.script = () => [{ reset: true }];
  await failureOf(pool.exchange(node(), [metaGet("broken", "c")], seen[0]!.connection));
  server.script = answerEmpty;
  const before = server.requests.length;
  const failure = await failureOf(pool.exchange(node(), [metaGet("later", "c")], seen[0]!.connection));
  expect(failure).toMatchObject({ sent: false, error: { code: "NODE_DOWN" } });
  expect(server.requests.length).toBe(before);
});

test("the limit of the queue is the server's, not each connection's", async () => {
  open({ queueLimit: 6 });
  let answer = () => {};
  const counted = new Promise<void>((resolve) => {
    answer = resolve;
  });
  server.script = (request) => [{ until: counted }, ...answerEmpty(request)];
  const link = pool.link(node());
  let refused = 0;
  for (const key of keys) {
    void link.exchange([metaGet(key, "v")]).catch((error: { error: { code: string } }) => {
      if (error.error.code === "QUEUE_FULL") refused++;
    });
  }
  expect(link.waiting).toBe(6);
  while (refused < keys.length - 6) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(refused).toBe(keys.length - 6);
  expect(pool.states().a).toMatchObject({ state: "up" });
  answer();
});

test("a server that fails is told down once, and up once when all its connections are back", async () => {
  const told: string[] = [];
  open({ health: { downAfter: 1, onDown: () => told.push("down"), onUp: () => told.push("up") } });
  server.greeting = [{ reset: true }];
  await Promise.allSettled(keys.map((key) => pool.exchange(node(), [metaGet(key, "v")])));
  expect(told).toEqual(["down"]);
  expect(pool.states().a!.state).toBe("down");
  server.greeting = [];
  while (pool.states().a!.state === "down") await new Promise((resolve) => setTimeout(resolve, 5));
  expect(told).toEqual(["down", "up"]);
  await Promise.all(keys.map((key) => pool.exchange(node(), [metaGet(key, "v")])));
});
