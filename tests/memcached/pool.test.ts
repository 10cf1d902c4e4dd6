import { afterEach, beforeEach, expect, test } from "vitest";
import { metaGet } from "../../src/memcached/commands.ts";
import { LinkPool } from "../../src/memcached/pool.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";
import { failureOf } from "./support.ts";

let one: ScriptedServer;
let two: ScriptedServer;
let pool: LinkPool;

beforeEach(async () => {
  one = await ScriptedServer.listen();
  two = await ScriptedServer.listen();
  pool = new LinkPool({ fenceKey: "ringshift:fence:t" });
});

afterEach(() => Promise.all([pool.close(), one.close(), two.close()]));

test("one link per name and address", async () => {
  const a = { name: "a", address: one.address };
  expect(pool.link(a)).toBe(pool.link({ ...a }));
  expect(pool.link({ name: "b", address: one.address })).not.toBe(pool.link(a));
  expect(pool.link({ name: "a", address: two.address })).not.toBe(pool.link(a));
  await Promise.all([
    pool.exchange(a, [metaGet("x")]),
    pool.exchange({ name: "b", address: two.address }, [metaGet("y")]),
  ]);
  expect([one.requests.map(({ line }) => line)[0], two.requests.map(({ line }) => line)[0]]).toEqual(["mg x", "mg y"]);
});

test("a connection of one link is no other's", async () => {
  const { connection } = await pool.exchange({ name: "a", address: one.address }, []);
  const other = { name: "b", address: two.address };
  await pool.exchange(other, []);
  expect(await failureOf(pool.exchange(other, [], connection))).toMatchObject({ sent: false });
});

test("servers that are no longer named lose their link after the grace, unless named again", async () => {
  const a = { name: "a", address: one.address };
  const b = { name: "b", address: two.address };
  await Promise.all([pool.exchange(a, []), pool.exchange(b, [])]);
  const [linkA, linkB] = [pool.link(a), pool.link(b)];
  pool.retain([], 20);
  pool.retain([a], 20);
  expect(pool.link(b)).toBe(linkB);
  await expect.poll(() => linkB.connection).toBeUndefined();
  expect(pool.link(a)).toBe(linkA);
  expect(linkA.connection).toBeDefined();
  expect(pool.link(b)).not.toBe(linkB);
});

test("after close, and with an address that is none, exchanges fail unsent", async () => {
  expect(await failureOf(pool.exchange({ name: "x", address: "::1" }, []))).toMatchObject({
    sent: false,
    error: { code: "NODE_ADDRESS" },
  });
  await pool.close();
  expect(await failureOf(pool.exchange({ name: "a", address: one.address }, []))).toMatchObject({
    sent: false,
    error: { code: "CLOSED" },
  });
});

test("events name the server", async () => {
  const seen: string[] = [];
  const watched = new LinkPool({
    onUp: (node) => seen.push(`up ${node.name}`),
    onDown: (node, error) => seen.push(`${error.code} ${node.name}`),
  });
  const a = { name: "a", address: one.address };
  await watched.exchange(a, []);
  one.script = () => [{ reset: true }];
  await failureOf(watched.exchange(a, []));
  await watched.close();
  expect(seen).toEqual(["up a", "NODE_DOWN a"]);
});
