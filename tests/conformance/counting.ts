/** incr and decr. */
import { describe, expect, test } from "vitest";
import type { World } from "./world.ts";

export function counting(of: () => World): void {
  describe("counting", () => {
    test("up and down, not below 0; the value stays a number", async () => {
      const key = of().key("number");
      expect(await of().cache.incr(key)).toBe(42);
      expect(await of().cache.incr(key, 958)).toBe(1_000);
      expect(await of().cache.decr(key, 1)).toBe(999);
      expect(await of().cache.get(key)).toBe(999);
      expect(await of().cache.decrement(key, 5_000)).toBe(0);
      expect(await of().cache.increment(key, 7)).toBe(7);
    });

    test("a miss is undefined, and `initial` is stored on it", async () => {
      const key = of().key("none");
      expect(await of().cache.incr(key)).toBeUndefined();
      expect(await of().cache.decr(key)).toBeUndefined();
      expect(await of().cache.get(key)).toBeUndefined();
      expect(await of().cache.incr(key, 5, { initial: 10, ttl: 100 })).toBe(10);
      expect(await of().cache.incr(key, 5, { initial: 10 })).toBe(15);
      if (of().full) expect((await of().cache.getMeta(key))!.ttl).toBeGreaterThan(50);
    });

    test("64 bits as bigint, wrapping round", async () => {
      const key = of().key("none");
      const max = 2n ** 64n - 1n;
      expect(await of().cache.incr(key, 1n, { initial: max - 1n, bigint: true })).toBe(max - 1n);
      expect(await of().cache.incr(key, 1n, { bigint: true })).toBe(max);
      expect(await of().cache.get(key)).toBe(max);
      expect(await of().cache.incr(key, 3n, { bigint: true })).toBe(2n);
    });

    test("what is no number is left as it is", async () => {
      const key = of().key("text");
      await expect(of().cache.incr(key)).rejects.toMatchObject({ code: "NOT_NUMERIC", key });
      expect(await of().cache.get(key)).toBe(`value of ${key}`);
    });
  });
}
