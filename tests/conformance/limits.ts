/** Sizes, keys, and calls that end early. */
import { describe, expect, test } from "vitest";
import type { World } from "./world.ts";

const BIG = Buffer.alloc(1_000_000, "big ");

export function limits(of: () => World): void {
  describe("limits", () => {
    test.each([1_000, 1_025, 2_048, 16_384, 65_536, 262_144, 1_000_000])(
      "a value of %i bytes comes back",
      async (size) => {
        const key = of().key("none");
        await of().cache.set(key, BIG.subarray(0, size));
        const found = await of().cache.get<Buffer>(key);
        expect(found!.equals(BIG.subarray(0, size))).toBe(true);
      },
    );

    test("a value that is too large harms nothing", async () => {
      const key = of().key("text");
      const set = of().cache.set(key, Buffer.alloc(1_100_000));
      await expect(set).rejects.toMatchObject({ code: "VALUE_TOO_LARGE", key });
      expect(await of().cache.get(key)).toBe(`value of ${key}`);
    });

    test("an append that would be too large harms nothing", async () => {
      const key = of().key("none");
      await of().cache.set(key, BIG);
      const appended = of().cache.append(key, BIG.subarray(0, 100_000));
      await expect(appended).rejects.toMatchObject({ code: "VALUE_TOO_LARGE", key });
      expect((await of().cache.get<Buffer>(key))!.length).toBe(BIG.length);
    });

    test.each(["ключ", "__proto__", "constructor", "ключ:😀", "k".repeat(200)])("the key %s is a key", async (key) => {
      await of().cache.set(key, key);
      expect(await of().cache.get(key)).toBe(key);
      expect(await of().cache.getMulti([key])).toStrictEqual(new Map([[key, key]]));
      expect(await of().cache.delete(key)).toBe(true);
    });

    test.each(["", "a b", "a\r\nflush_all", "k".repeat(251), "\ud800", "a\u0000"])("%j is no key", async (key) => {
      await expect(of().cache.set(key, 1)).rejects.toMatchObject({ code: "INVALID_KEY" });
      await expect(of().cache.get(key)).rejects.toMatchObject({ code: "INVALID_KEY" });
    });

    test.each(["\ud800", "a\udfffb"])("text with half a character, %j, is no value", async (text) => {
      const key = of().key("text");
      await expect(of().cache.set(key, text)).rejects.toMatchObject({ code: "INVALID_VALUE", key });
      await expect(of().cache.append(key, text)).rejects.toMatchObject({ code: "INVALID_VALUE", key });
      expect(await of().cache.get(key)).toBe(`value of ${key}`);
      await of().cache.set(key, { text });
      expect(await of().cache.get(key)).toStrictEqual({ text });
    });

    test("an aborted call rejects, and the next one is answered", async () => {
      const key = of().key("text");
      const stop = new AbortController();
      const reading = of().cache.get(key, { signal: stop.signal });
      stop.abort();
      await expect(reading).rejects.toMatchObject({ code: "ABORTED" });
      expect(await of().cache.get(key)).toBe(`value of ${key}`);
    });

    test("own calls on a key keep their order", async () => {
      const key = of().key("text");
      const calls: Promise<unknown>[] = [];
      for (let i = 0; i < 50; i++) calls.push(of().cache.set(key, i), of().cache.get(key));
      const answers = await Promise.all(calls);
      expect(answers.filter((_, i) => i % 2 === 1)).toStrictEqual(Array.from({ length: 50 }, (_, i) => i));
    });
  });
}
