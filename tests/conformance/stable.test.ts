/** Every command over every way, on servers that stay. */
import { afterAll, beforeAll, describe } from "vitest";
import { type RedisServer, startRedis } from "../../src/testing/local-cluster.ts";
import { conformance } from "./suite.ts";
import { endWays, WAYS } from "./ways.ts";
import { stableWorld, type World } from "./world.ts";

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await endWays();
  await redis.stop();
});

describe.each([...WAYS])("$name", (way) => {
  let world: World | undefined;
  beforeAll(async () => {
    world = await stableWorld(way, redis);
  });
  afterAll(() => world?.close());
  conformance(() => world!);
});
