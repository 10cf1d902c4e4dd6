/** What concerns whole servers. It comes last: flush leaves no key. */
import { describe, expect, test } from "vitest";
import { UNTOUCHED_KEYS, type World } from "./world.ts";

export function servers(of: () => World): void {
  describe("servers", () => {
    test("version and stats, by node", async () => {
      const { cache } = of();
      const nodes = cache.topology().nodes.map((node) => node.name);
      const versions = await cache.version();
      const stats = await cache.stats();
      const settings = await cache.stats("settings");
      for (const node of nodes) {
        expect(versions[node]).toMatch(/^1\./);
        expect(Number(stats[node]!.curr_items)).toBeGreaterThan(0);
        expect(settings[node]!.item_size_max).toBe("1048576");
      }
    });

    test("the servers are up, and nothing is left waiting", () => {
      for (const state of Object.values(of().cache.nodeStates())) {
        expect(state).toMatchObject({ state: "up", inFlight: 0, waiting: 0 });
      }
    });

    test("the cluster was in the same phase all the time", () => {
      expect(of().cache.topology().phase).toBe(of().phase);
    });

    test("at the end of the change, if there was one, every key is there that nobody has touched", async () => {
      expect(await of().finish()).toBe(UNTOUCHED_KEYS);
      expect(of().cache.topology().phase).toBe("S");
    });

    test("flush: no key is left; NOT_SUPPORTED where keys cannot be listed, all but `everything`", async () => {
      const { cache, full } = of();
      if (full) expect(await cache.flush()).toBeGreaterThanOrEqual(UNTOUCHED_KEYS);
      else await expect(cache.flush()).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
      if (!full) expect(await cache.flush({ everything: true })).toBeGreaterThanOrEqual(UNTOUCHED_KEYS);
      expect((await cache.getMulti(["untouched:1", "untouched:2", "text:149"])).size).toBe(0);
    });
  });
}
