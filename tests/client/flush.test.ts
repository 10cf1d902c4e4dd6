/** flush and its like while Redis or a server is away. */
import { expect, test } from "vitest";
import { codeOf, until, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 2 });

test("flush of everything while Redis is away deletes nothing, and the cluster stays in service", async () => {
  const cache = await bench.cluster(2).client();
  await cache.setMulti({ a: 1, b: 2, c: 3 });
  await bench.local.redis.kill("SIGSTOP");
  try {
    expect(await codeOf(cache.flush({ everything: true }))).toBe("REDIS_UNREACHABLE");
    expect((await cache.getMulti(["a", "b", "c"])).size).toBe(3);
    expect(await cache.set("a", 2)).toBe(true);
  } finally {
    await bench.local.redis.kill("SIGCONT");
  }
  await until("Redis answers again", () => cache.flush({ everything: true }).then(Boolean, () => false));
  expect((await cache.getMulti(["a", "b", "c"])).size).toBe(0);
});
