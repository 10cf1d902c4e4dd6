/** `onRejoin: "flush"` in the namespace without a prefix, on servers that other namespaces use as well: it takes this cluster's keys only. */
import { expect, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";

test("a flush on rejoin leaves the keys of other namespaces", async () => {
  const cluster = await LocalCluster.start({ memcached: 1 });
  const [server] = cluster.memcached;
  const shared = { redis: cluster.redis.url, servers: cluster.servers };
  const neighbour = await createClient({ ...shared, namespace: "neighbour", binaryKeys: "base64" });
  await neighbour.setMulti({ plain: 1, "\nodd": 2 });
  const first = await createClient({ ...shared }).catch((error: unknown) => error);
  expect(first).toMatchObject({ code: "NODE_NOT_EMPTY" }); // it has no prefix, so these might be old keys of its own
  await neighbour.flush();
  const mine = await createClient({ ...shared, onRejoin: "flush", ioTimeoutMs: 200, connectTimeoutMs: 200 });
  try {
    await neighbour.setMulti({ plain: 1, "\nodd": 2 });
    await mine.setMulti({ a: 1, "other:key": 2 });
    await server!.kill("SIGSTOP");
    while (mine.nodeStates()[server!.address]?.state !== "down") await mine.get("a").catch(() => {});
    await server!.kill("SIGCONT");
    await expect.poll(() => mine.nodeStates()[server!.address]!.state, { timeout: 30_000 }).toBe("up");
    expect((await mine.getMulti(["a", "other:key"])).size).toBe(0);
    expect(await neighbour.getMulti(["plain", "\nodd"])).toEqual(
      new Map([
        ["plain", 1],
        ["\nodd", 2],
      ]),
    );
  } finally {
    await Promise.all([mine.quit(), neighbour.quit()]);
    await cluster.stop();
  }
});
