/** The clients of a chaos run with a rule switched off: they work, and they do not keep it. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { CHAOS_RULES, type ChaosRule, openCrippled } from "../../src/chaos/without.ts";
import { createClient, RingshiftError } from "../../src/index.ts";
import { FENCE_KEY_PREFIX } from "../../src/memcached/key.ts";
import { LocalCluster } from "../../src/testing/index.ts";

async function cluster(): Promise<LocalCluster> {
  const started = await LocalCluster.start({ memcached: 1 });
  onTestFinished(() => started.stop());
  const first = await createClient({ redis: started.redis.url, servers: started.servers, namespace: "a" });
  await first.quit();
  return started;
}

async function crippled(off: ChaosRule, redis: string) {
  const client = await openCrippled(new Set([off]), { redis, namespace: "a", timeoutMs: 1_000, ioTimeoutMs: 500 });
  onTestFinished(() => client.quit());
  return client;
}

test.each(Object.keys(CHAOS_RULES) as ChaosRule[])("without %s a client reads what it writes", async (off) => {
  const client = await crippled(off, (await cluster()).redis.url);
  expect(await client.set("k", "v")).toBe(true);
  expect(await client.get("k")).toBe("v");
  expect((await client.getMulti(["k", "other"])).get("k")).toBe("v");
  expect(await client.delete("k")).toBe(true);
});

test("without nofence a newer fence is passed over; the product's client does not pass over it", async () => {
  const { redis, memcached } = await cluster();
  const client = await crippled("nofence", redis.url);
  const kept = await createClient({ redis: redis.url, namespace: "a", timeoutMs: 500 });
  onTestFinished(() => kept.quit());
  expect(await client.set("k", "v")).toBe(true);
  await setRaw(memcached[0]!.port, `${FENCE_KEY_PREFIX}a`, "99 0123456789abcdef");
  expect(await client.get("k")).toBe("v");
  await expect(kept.get("k")).rejects.toBeInstanceOf(RingshiftError);
});

async function setRaw(port: number, key: string, text: string): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`set ${key} 0 0 ${text.length}\r\n${text}\r\n`);
  const [answer] = await once(socket, "data");
  expect(String(answer)).toBe("STORED\r\n");
  socket.destroy();
}
