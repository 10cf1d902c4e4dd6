/** Who shares a call of getOrSet, and whom a loaded value is an answer for, when the key is written meanwhile: by this process or another. */
import { beforeEach, describe, expect, test } from "vitest";
import type { CasToken, Client } from "../../src/index.ts";
import { codeOf, until, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });
const KEY = "k";

let cache: Client;
let other: Client;
/** What a load finds when it begins. */
let database: string | undefined;
let loads: number;
/** Ends the loads that are running; later ones end at once. */
let finish: () => void;
let load: () => Promise<string | undefined>;
/** The first load has begun. */
let loading: Promise<void>;

beforeEach(async () => {
  const cluster = bench.cluster(1);
  [cache, other] = [await cluster.client(), await cluster.client()];
  database = "old";
  loads = 0;
  const ended = new Promise<void>((resolve) => {
    finish = resolve;
  });
  loading = new Promise((resolve) => {
    load = async () => {
      loads++;
      const found = database;
      resolve();
      await ended;
      return found;
    };
  });
});

describe("written by the same process", () => {
  test.each([
    ["set", (client: Client) => client.set(KEY, "new"), "new"],
    ["setMulti", (client: Client) => client.setMulti({ [KEY]: "new" }), "new"],
    ["add", (client: Client) => client.add(KEY, "new"), "new"],
    ["delete", (client: Client) => client.delete(KEY), "loaded"],
    ["deleteMulti", (client: Client) => client.deleteMulti([KEY]), "loaded"],
    ["incr", (client: Client) => client.incr(KEY, 1, { initial: 7 }), 7],
  ] as const)("%s: who calls after it does not wait for a load from before it", async (_, write, wanted) => {
    const first = cache.getOrSet(KEY, 60, load);
    await loading;
    await write(cache);
    expect(await cache.getOrSet(KEY, 60, () => "loaded")).toBe(wanted);
    finish();
    expect(await first).toBe("old");
    expect(await cache.get(KEY)).toBe(wanted);
  });

  test.each([
    ["set", (client: Client) => client.set(KEY, "new"), "new"],
    ["setMulti", (client: Client) => client.setMulti({ [KEY]: "new" }), "new"],
    ["replace", (client: Client) => client.replace(KEY, "new"), "new"],
    ["append", (client: Client) => client.append(KEY, "2"), "12"],
    ["prepend", (client: Client) => client.prepend(KEY, "2"), "21"],
    ["cas", (client: Client, token: CasToken) => client.cas(KEY, "new", token), "new"],
    ["incr", (client: Client) => client.incr(KEY), "2"],
    ["decr", (client: Client) => client.decr(KEY), "0"],
    ["delete", (client: Client) => client.delete(KEY), "loaded"],
    ["deleteMulti", (client: Client) => client.deleteMulti([KEY]), "loaded"],
  ] as const)("%s: calls that are not awaited are answered in their order", async (_, write, wanted) => {
    await cache.set(KEY, "1");
    const { cas } = (await cache.gets(KEY))!;
    const loaded = () => "loaded";
    const calls = [cache.getOrSet(KEY, 60, loaded), write(cache, cas), cache.getOrSet(KEY, 60, loaded)];
    const [before, , after] = await Promise.all<unknown>(calls);
    expect([before, after]).toStrictEqual(["1", wanted]);
  });

  test("a load that was overtaken leaves its successor's call to be shared", async () => {
    const first = cache.getOrSet(KEY, 60, load);
    await loading;
    await cache.delete(KEY);
    let end = (_: string) => {};
    const second = cache.getOrSet(KEY, 60, () => {
      loads++;
      return new Promise<string>((resolve) => {
        end = resolve;
      });
    });
    await until("the second load runs", () => loads === 2);
    finish();
    expect(await first).toBe("old");
    const third = cache.getOrSet(KEY, 60, load);
    end("second");
    expect([await second, await third]).toStrictEqual(["second", "second"]);
    expect(loads).toBe(2);
  });

  test("a load that writes its own key, and reads it", async () => {
    const value = await cache.getOrSet(KEY, 60, async () => {
      await cache.set(KEY, "written");
      return cache.getOrSet(KEY, 60, () => "never");
    });
    expect(value).toBe("written");
  });
});

describe("written by another process", () => {
  test("who joins a load after the write is not answered its old value", async () => {
    const first = cache.getOrSet(KEY, 60, load);
    await loading;
    database = "new";
    await other.set(KEY, "new");
    const joined = [cache.getOrSet(KEY, 60, load), cache.getOrSet(KEY, 60, load)];
    finish();
    expect(await first).toBe("old");
    expect(await Promise.all(joined)).toStrictEqual(["new", "new"]);
    expect(loads).toBe(1);
  });

  test("who joins a load after a delete loads anew, once for all", async () => {
    const first = cache.getOrSet(KEY, 60, load);
    await loading;
    database = "new";
    await other.delete(KEY);
    const joined = Array.from({ length: 20 }, () => cache.getOrSet(KEY, 60, load));
    finish();
    expect(await first).toBe("old");
    expect(new Set(await Promise.all(joined))).toStrictEqual(new Set(["new"]));
    expect(loads).toBe(2);
    expect(await other.get(KEY)).toBe("new");
  });

  test("a load that found nothing, before the write and without one", async () => {
    database = undefined;
    const first = cache.getOrSet(KEY, 60, load);
    await loading;
    await other.set(KEY, "new");
    const joined = cache.getOrSet(KEY, 60, load);
    finish();
    expect([await first, await joined]).toStrictEqual([undefined, "new"]);
    await other.delete(KEY);
    const all = Array.from({ length: 20 }, () => cache.getOrSet(KEY, 60, load));
    expect(new Set(await Promise.all(all))).toStrictEqual(new Set([undefined]));
    expect(loads).toBe(2);
  });

  test("who has joined and is aborted begins nothing", async () => {
    const first = cache.getOrSet(KEY, 60, load);
    await loading;
    await other.delete(KEY);
    const { signal, abort } = aborting();
    const joined = codeOf(cache.getOrSet(KEY, 60, load, { signal }));
    abort();
    expect(await joined).toBe("ABORTED");
    finish();
    await first;
    expect(await cache.getOrSet(KEY, 60, () => "after")).toBe("after");
    expect(loads).toBe(1);
  });

  test("quit: who has joined is answered what there is", async () => {
    const first = cache.getOrSet(KEY, 60, load);
    await loading;
    const joined = cache.getOrSet(KEY, 60, load);
    await cache.quit();
    finish();
    expect([await first, await joined]).toStrictEqual(["old", "old"]);
  });
});

test("without a write a load's value is everybody's who has joined", async () => {
  const all = Array.from({ length: 20 }, () => cache.getOrSet(KEY, 60, load));
  await loading;
  all.push(cache.getOrSet(KEY, 60, load));
  finish();
  expect(new Set(await Promise.all(all))).toStrictEqual(new Set(["old"]));
  expect(loads).toBe(1);
});

function aborting(): { readonly signal: AbortSignal; readonly abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
