/** Every command over every way, on keys that are moving to a server that joins. */
import { afterAll, beforeAll, describe } from "vitest";
import { type RedisServer, startRedis } from "../../src/testing/local-cluster.ts";
import { conformance } from "./suite.ts";
import { endWays, WAYS } from "./ways.ts";
import { movingWorld, type World } from "./world.ts";

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await endWays();
  await redis.stop();
});

describe.each(WAYS.filter((way) => way.meta))("$name", (way) => {
  let world: World | undefined;
  beforeAll(async () => {
    world = await movingWorld(way, redis);
  });
  afterAll(() => world?.close());
  conformance(() => world!);
});
