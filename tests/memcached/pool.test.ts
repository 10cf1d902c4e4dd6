import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { metaGet } from "../../src/memcached/commands.ts";
import { LinkPool } from "../../src/memcached/pool.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { failureOf, freePort } from "./support.ts";

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

test.each(["that is down", "in its back-off"])(
  "a server %s and is named anew is tried at once, and waited for",
  async (how) => {
    const health = { downAfter: 1, onDown: () => {}, onUp: () => {} };
    const watched = new LinkPool({ health: how === "that is down" ? health : undefined, random: () => 1 });
    const port = await freePort();
    const a = { name: "a", address: `127.0.0.1:${port}` };
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] }); // no back-off ends by itself
    try {
      expect(await failureOf(watched.exchange(a, [metaGet("k")]))).toMatchObject({ error: { code: "NODE_DOWN" } });
      const back = await ScriptedServer.listen(answerEmpty, port);
      const refused = failureOf(watched.exchange(a, [metaGet("k")]));
      await vi.advanceTimersByTimeAsync(5); // what is refused is answered by the batch
      expect(await refused).toMatchObject({ error: { code: "NODE_DOWN" } });
      watched.retain([], 1000);
      watched.retain([a], 1000);
      expect((await watched.exchange(a, [metaGet("k")])).replies[0]?.status).toBe("EN");
      await Promise.all([watched.close(), back.close()]);
    } finally {
      vi.useRealTimers();
    }
  },
);

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
