/** The commands that change values. */
import { describe, expect, test } from "vitest";
import { ALL_BYTES, storedUnder, type World } from "./world.ts";

export function writing(of: () => World): void {
  describe("writing", () => {
    test("set: over a value, and where none is", async () => {
      for (const key of [of().key("text"), of().key("none")]) {
        expect(await of().cache.set(key, { new: key })).toBe(true);
        expect(await of().cache.get(key)).toStrictEqual({ new: key });
      }
    });

    test("set: values of every kind", async () => {
      for (const value of ["", "äöü€😀", ALL_BYTES, Buffer.alloc(0), 0, -1.5, 2n ** 70n, true, null, [1, "a"], {}]) {
        const key = of().key("none");
        await of().cache.set(key, value);
        expect(await of().cache.get(key)).toStrictEqual(value);
      }
    });

    test("set: protocol words in a value stay a value", async () => {
      const value = "x\r\nEN\r\nHD\r\nVA 1\r\nx\r\nflush_all\r\n";
      const key = of().key("none");
      await of().cache.set(key, value);
      expect(await of().cache.get(key)).toBe(value);
    });

    test("set: a TTL, more than 30 days too", async () => {
      const [key, long] = [of().key("none"), of().key("text")];
      await of().cache.set(key, 1, { ttl: 300 });
      await of().cache.set(long, 1, { ttl: 90 * 86_400 });
      expect(await of().cache.get(long)).toBe(1);
      if (!of().full) return;
      expect((await of().cache.getMeta(key))!.ttl).toBeGreaterThan(200);
      expect((await of().cache.getMeta(key))!.ttl).toBeLessThanOrEqual(300);
      expect((await of().cache.getMeta(long))!.ttl).toBeGreaterThan(89 * 86_400);
    });

    test("set: the value is gone when its TTL is over", async () => {
      const key = of().key("text");
      await of().cache.set(key, "short", { ttl: 1 });
      if (of().full)
        expect((await of().cache.getMeta(key))?.ttl ?? 0).toBeLessThanOrEqual(1); // the waiting is done once; a second of memcached's may end at once
      else while ((await of().cache.get(key)) !== undefined) await new Promise((resolve) => setTimeout(resolve, 50));
      if (!of().full) expect(await of().cache.add(key, "again")).toBe(true);
    });

    test("setMulti", async () => {
      const keys = [of().key("none"), of().key("text"), of().key("json")];
      expect(await of().cache.setMulti(keys.map((key, i) => [key, i] as const))).toBe(true);
      expect([...(await of().cache.getMulti(keys)).values()]).toStrictEqual([0, 1, 2]);
    });

    test("add: where nothing is", async () => {
      const [present, absent] = [of().key("text"), of().key("none")];
      expect(await of().cache.add(present, "new")).toBe(false);
      expect(await of().cache.get(present)).toBe(`value of ${present}`);
      expect(await of().cache.add(absent, "new")).toBe(true);
      expect(await of().cache.get(absent)).toBe("new");
    });

    test("replace: where something is", async () => {
      const [present, absent] = [of().key("text"), of().key("none")];
      expect(await of().cache.replace(present, "new")).toBe(true);
      expect(await of().cache.get(present)).toBe("new");
      expect(await of().cache.replace(absent, "new")).toBe(false);
      expect(await of().cache.get(absent)).toBeUndefined();
    });

    test("append and prepend: flags stay, bytes too", async () => {
      const [text, bytes, absent] = [of().key("text"), of().key("bytes"), of().key("none")];
      expect(await of().cache.append(text, " ✓")).toBe(true);
      expect(await of().cache.prepend(text, "» ")).toBe(true);
      expect(await of().cache.get(text)).toBe(`» value of ${text} ✓`);
      expect(await of().cache.append(bytes, ALL_BYTES)).toBe(true);
      expect(await of().cache.get(bytes)).toStrictEqual(Buffer.concat([ALL_BYTES, ALL_BYTES]));
      expect(await of().cache.append(absent, "x")).toBe(false);
      expect(await of().cache.prepend(absent, "x")).toBe(false);
      expect(await of().cache.get(absent)).toBeUndefined();
    });

    test("cas: once per token, and never over what came since", async () => {
      const key = of().key("json");
      const { value, cas } = (await of().cache.gets(key))!;
      expect(value).toStrictEqual(storedUnder("json", key));
      expect(await of().cache.cas(key, "first", cas, { ttl: 100 })).toBe(true);
      expect(await of().cache.cas(key, "second", cas)).toBe(false);
      expect(await of().cache.get(key)).toBe("first");
      const again = (await of().cache.gets(key))!;
      await of().cache.delete(key);
      expect(await of().cache.cas(key, "third", again.cas)).toBe(false);
      expect(await of().cache.get(key)).toBeUndefined();
    });

    test("delete and deleteMulti: was there a value", async () => {
      const [one, two, absent] = [of().key("text"), of().key("number"), of().key("none")];
      expect(await of().cache.delete(one)).toBe(true);
      expect(await of().cache.delete(one)).toBe(false);
      expect(await of().cache.get(one)).toBeUndefined();
      const found = await of().cache.deleteMulti([one, two, absent]);
      expect([...found.values()]).toStrictEqual([false, true, false]);
      expect(await of().cache.get(two)).toBeUndefined();
    });

    test("touch: was there a value", async () => {
      const [present, absent] = [of().key("text"), of().key("none")];
      expect(await of().cache.touch(present, 5_000)).toBe(true);
      expect(await of().cache.get(present)).toBe(`value of ${present}`);
      if (of().full) expect((await of().cache.getMeta(present))!.ttl).toBeGreaterThan(4_000);
      expect(await of().cache.touch(absent, 5_000)).toBe(false);
    });
  });
}
