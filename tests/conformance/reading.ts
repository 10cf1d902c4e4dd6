/** The commands that read. */
import { describe, expect, test } from "vitest";
import { type Kind, storedUnder, type World } from "./world.ts";

const KINDS: readonly Kind[] = ["text", "number", "json", "bytes"];

export function reading(of: () => World): void {
  describe("reading", () => {
    test.each(KINDS)("get: a value (%s), as it was stored", async (kind) => {
      const key = of().key(kind);
      expect(await of().cache.get(key)).toStrictEqual(storedUnder(kind, key));
    });

    test("get: undefined on a miss", async () => {
      expect(await of().cache.get(of().key("none"))).toBeUndefined();
    });

    test("gets: a value with a token; undefined on a miss", async () => {
      const key = of().key("text");
      const found = await of().cache.gets(key);
      expect(found).toMatchObject({ value: `value of ${key}`, cas: { cas: expect.stringMatching(/^\d+$/) } });
      expect(await of().cache.gets(of().key("none"))).toBeUndefined();
    });

    test("getMulti: what is there", async () => {
      const keys = KINDS.map((kind) => [kind, of().key(kind)] as const);
      const found = await of().cache.getMulti([...keys.map(([, key]) => key), of().key("none")]);
      expect([...found]).toStrictEqual(keys.map(([kind, key]) => [key, storedUnder(kind, key)]));
    });

    test("gat: the value, and a new TTL; undefined on a miss", async () => {
      const key = of().key("json");
      expect(await of().cache.gat(key, 5_000)).toStrictEqual(storedUnder("json", key));
      expect(await of().cache.get(key)).toStrictEqual(storedUnder("json", key));
      if (of().full) expect((await of().cache.getMeta(key))!.ttl).toBeGreaterThan(4_000);
      expect(await of().cache.gat(of().key("none"), 5_000)).toBeUndefined();
    });

    test("getMeta: what the server knows, or NOT_SUPPORTED", async () => {
      const key = of().key("bytes");
      const asked = of().cache.getMeta(key);
      if (!of().full) return expect(asked).rejects.toMatchObject({ code: "NOT_SUPPORTED", key });
      expect(await asked).toMatchObject({ size: 256, flags: 4 });
      expect((await asked)!.ttl).toBeGreaterThan(900);
      expect(await of().cache.getMeta(of().key("none"))).toBeUndefined();
    });
  });

  describe("getOrSet", () => {
    test("the value that is there, without loading", async () => {
      const key = of().key("text");
      expect(await of().cache.getOrSet(key, 100, () => expect.unreachable())).toBe(`value of ${key}`);
    });

    test("loads once for all callers, and stores", async () => {
      const key = of().key("none");
      let loads = 0;
      const load = async () => ({ load: ++loads });
      const answers = await Promise.all([1, 2, 3].map(() => of().cache.getOrSet(key, 100, load)));
      expect(answers).toStrictEqual([{ load: 1 }, { load: 1 }, { load: 1 }]);
      expect(await of().cache.get(key)).toStrictEqual({ load: 1 });
    });

    test("a load that throws frees the key", async () => {
      const key = of().key("none");
      const failing = of().cache.getOrSet(key, 100, () => Promise.reject(new Error("no database")));
      await expect(failing).rejects.toThrow("no database");
      expect(await of().cache.getOrSet(key, 100, () => "second")).toBe("second");
    });

    test("a write meanwhile wins over the loaded value", async () => {
      const key = of().key("none");
      const load = async () => {
        await of().cache.set(key, "written meanwhile");
        return "loaded";
      };
      expect(await of().cache.getOrSet(key, 100, load)).toBe("loaded");
      expect(await of().cache.get(key)).toBe("written meanwhile");
    });

    test("staleTtl keeps a value for longer, or NOT_SUPPORTED", async () => {
      const key = of().key("none");
      const asked = of().cache.getOrSet(key, 100, () => "loaded", { staleTtl: 400 });
      if (!of().full) return expect(asked).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
      expect(await asked).toBe("loaded");
      expect((await of().cache.getMeta(key))!.ttl).toBeGreaterThan(400);
    });
  });
}
