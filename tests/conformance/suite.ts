/** The conformance suite: what every command answers, over whatever way, while keys move or stay. */
import { expect, test } from "vitest";
import { counting } from "./counting.ts";
import { limits } from "./limits.ts";
import { reading } from "./reading.ts";
import { servers } from "./servers.ts";
import type { World } from "./world.ts";
import { writing } from "./writing.ts";

/** @param of the world, from the first test on */
export function conformance(of: () => World): void {
  reading(of);
  writing(of);
  counting(of);
  limits(of);
  servers(of);

  test("quit: later calls reject", async () => {
    const { cache } = of();
    await cache.quit();
    await expect(cache.get("text:0")).rejects.toMatchObject({ code: "CLOSED" });
  });
}
