/** One loader per key in the whole cluster, in S and in D. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create.ts";
import { movingCluster, movingKeys, OLD_KEYS, stableCluster, type TestCluster } from "./support.ts";

const LOADER = fileURLToPath(new URL("./loader.mjs", import.meta.url));

interface Answer {
  readonly loads: number;
  readonly values: string[];
}

describe.each(["stable", "moving"] as const)("in a %s cluster", (state) => {
  let cluster: TestCluster;
  let cache: Client;
  let other: Client;
  let next = 0;
  const fresh = () => (state === "stable" ? `load:${next++}` : movingKeys(cache, `load:${next++}:`, 1)[0]!);

  beforeAll(async () => {
    cluster = state === "stable" ? await stableCluster() : await movingCluster();
    [cache, other] = [await cluster.client(), await cluster.client()];
  });

  async function processes(count: number, ...args: string[]): Promise<ChildProcess[]> {
    const children = Array.from({ length: count }, () => fork(LOADER, [cluster.local.redis.url, ...args]));
    await Promise.all(children.map((child) => once(child, "message")));
    for (const child of children) child.send("go");
    return children;
  }

  async function answer(child: ChildProcess): Promise<Answer> {
    for (;;) {
      const [message] = (await once(child, "message")) as [Answer | string];
      if (typeof message === "object") return message;
    }
  }

  test("8 processes with 50 calls each load a cold key once", async () => {
    const key = fresh();
    const children = await processes(8, key, "50", "300");
    const answers = await Promise.all(children.map(answer));
    expect(answers.reduce((sum, { loads }) => sum + loads, 0)).toBe(1);
    expect(new Set(answers.flatMap(({ values }) => values)).size).toBe(1);
    expect(await cache.get(key)).toBe(answers[0]!.values[0]);
    expect((await cache.getMeta(key))!.ttl).toBeLessThanOrEqual(60);
  });

  test("a loader that is killed frees the key", async () => {
    const key = fresh();
    const [dying] = await processes(1, key, "1", "0", "hang");
    await once(dying!, "message"); // it loads
    dying!.kill("SIGKILL");
    await once(dying!, "exit");
    const [heir] = await processes(1, key, "1", "0");
    expect(await answer(heir!)).toMatchObject({ loads: 1 });
  });

  test("a loader that throws frees the key at once, and its error is the call's", async () => {
    const key = fresh();
    const failure = new Error("no database");
    const load = () => Promise.reject(failure);
    await expect(cache.getOrSet(key, 60, load)).rejects.toBe(failure);
    expect(await other.getOrSet(key, 60, () => "second")).toBe("second");
    expect(await cache.get(key)).toBe("second");
  });

  test("undefined is answered and not stored", async () => {
    const key = fresh();
    expect(await cache.getOrSet(key, 60, () => undefined)).toBeUndefined();
    expect(await other.getOrSet(key, 60, () => 1)).toBe(1);
  });

  test("a key that is being loaded is absent to every command, and reads leave the lease", async () => {
    const key = fresh();
    const { loading, finish } = holding(cache, key);
    await loading;
    expect(await other.get(key)).toBeUndefined();
    expect(await other.gets(key)).toBeUndefined();
    expect((await other.getMulti([key])).size).toBe(0);
    finish("loaded");
    expect(await other.getOrSet(key, 60, () => "not again")).toBe("loaded");
    expect(await other.get(key)).toBe("loaded");
  });

  test.each([
    ["delete", (client: Client, key: string) => client.delete(key), false],
    ["replace", (client: Client, key: string) => client.replace(key, "x"), false],
    ["append", (client: Client, key: string) => client.append(key, "x"), false],
    ["touch", (client: Client, key: string) => client.touch(key, 100), false],
    ["gat", (client: Client, key: string) => client.gat(key, 100), undefined],
    ["incr", (client: Client, key: string) => client.incr(key), undefined],
    ["getMeta", (client: Client, key: string) => client.getMeta(key), undefined],
    ["add", (client: Client, key: string) => client.add(key, "x"), true],
    ["set", (client: Client, key: string) => client.set(key, "x"), true],
  ] as const)("%s on a key that is being loaded", async (name, command, wanted) => {
    const key = fresh();
    const { loading, finish, loaded } = holding(cache, key);
    await loading;
    expect(await command(other, key)).toBe(wanted);
    finish("loaded");
    expect(await loaded).toBe("loaded");
    const stored = await other.get(key);
    if (name === "add" || name === "set") expect(stored).toBe("x");
    if (name === "delete") expect(stored).toBeUndefined(); // loaded before the deletion: must not follow it
    if (name === "getMeta" && state === "stable") expect(stored).toBe("loaded");
  });

  test("a value past its TTL is answered while one caller loads it anew", async () => {
    const key = fresh();
    // ttl 1 and staleTtl 1000: from its second second on the value is old
    expect(await cache.getOrSet(key, 1, () => "first", { staleTtl: 1000 })).toBe("first");
    const meta = await cache.getMeta(key);
    expect(meta!.ttl).toBeGreaterThan(990);
    let resolve: (value: string) => void = () => {};
    const promise = new Promise<string>((settle) => {
      resolve = settle;
    });
    let loads = 0;
    const load = () => {
      loads++;
      return promise;
    };
    // refreshBelow 2000: old at once
    const options = { staleTtl: 1000, earlyRefresh: 1000 };
    const answers = await Promise.all([cache, other, cache, other].map((one) => one.getOrSet(key, 1, load, options)));
    expect(answers).toEqual(["first", "first", "first", "first"]);
    expect(await other.getOrSet(key, 1, load, options)).toBe("first");
    expect(loads).toBe(1);
    resolve("second");
    await expect.poll(() => cache.get(key)).toBe("second");
  });

  test("a reload that throws leaves the old value, and the next reader reloads", async () => {
    const key = fresh();
    const options = { staleTtl: 1000, earlyRefresh: 1000 };
    await cache.getOrSet(key, 1, () => "first", { staleTtl: 1000 });
    expect(await cache.getOrSet(key, 1, () => Promise.reject(new Error("no")), options)).toBe("first");
    await expect
      .poll(async () => {
        await other.getOrSet(key, 1, () => "second", options);
        return cache.get(key);
      })
      .toBe("second");
  });

  test("a reload whose key was written meanwhile is discarded", async () => {
    const key = fresh();
    await cache.getOrSet(key, 1, () => "first", { staleTtl: 1000 });
    const { loading, finish } = holding(cache, key, { staleTtl: 1000, earlyRefresh: 1000 });
    await loading;
    await other.set(key, "newer");
    const before = cache.metrics().loadsDiscarded;
    finish("older");
    await expect.poll(() => cache.metrics().loadsDiscarded).toBe(before + 1);
    expect(await other.get(key)).toBe("newer");
  });

  test("bad options reject before anything is loaded", async () => {
    const load = () => expect.unreachable();
    for (const options of [{ staleTtl: -1 }, { earlyRefresh: Number.NaN }]) {
      await expect(cache.getOrSet("k", 10, load, options)).rejects.toMatchObject({ code: "INVALID_TTL" });
    }
    await expect(cache.getOrSet("k", 0, load, { staleTtl: 1 })).rejects.toMatchObject({ code: "INVALID_TTL" });
    await expect(cache.getOrSet("k", -1, load)).rejects.toMatchObject({ code: "INVALID_TTL" });
    await expect(cache.getOrSet("", 1, load)).rejects.toMatchObject({ code: "INVALID_KEY" });
    for (const compress of ["gzip", { algorithm: "lzw" }, null] as unknown[] as boolean[]) {
      await expect(cache.getOrSet("k", 10, load, { compress })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    }
  });
});

test("a load outlives the migration that its key moves in", async () => {
  const cluster = await movingCluster();
  const [cache, other] = [await cluster.client(), await cluster.client()];
  const keys = OLD_KEYS.filter((key) => cache.locate(key).movingFrom !== undefined).slice(-5);
  await cache.deleteMulti(keys); // the index lists them still, so the copier comes by
  const loads = keys.map((key) => holding(cache, key));
  await Promise.all(loads.map(({ loading }) => loading));
  await cluster.finish();
  for (const { finish } of loads) finish("loaded");
  await Promise.all(loads.map(({ loaded }) => loaded));
  expect(cache.metrics().loadsDiscarded).toBe(0);
  expect(await other.getMulti(keys)).toEqual(new Map(keys.map((key) => [key, "loaded"])));
});

test("without Redis", async () => {
  const { local } = await stableCluster(2);
  const [server] = [await local.addMemcached()]; // of no cluster
  const servers = [server.address];
  const [one, two] = [await createClient({ servers }), await createClient({ servers })];
  const { loading, finish } = holding(one, "k");
  await loading;
  expect(await two.get("k")).toBeUndefined();
  const waiting = two.getOrSet("k", 60, () => "not again");
  finish("loaded");
  expect(await waiting).toBe("loaded");
  await Promise.all([one.quit(), two.quit()]);
});

/** A load that a test ends. */
function holding(client: Client, key: string, options = {}) {
  let begun = () => {};
  let finish: (value: string) => void = () => {};
  const loading = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const value = new Promise<string>((resolve) => {
    finish = resolve;
  });
  const load = () => {
    begun();
    return value;
  };
  const loaded = client.getOrSet(key, 60, load, options);
  return { loading, loaded, finish: (text: string) => finish(text) };
}
