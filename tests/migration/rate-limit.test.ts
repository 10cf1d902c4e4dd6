import { execFile } from "node:child_process";
import { getEventListeners } from "node:events";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { MIN_RATE } from "../../src/migration/change-options.ts";
import { RateLimit } from "../../src/migration/rate-limit.ts";
import { systemClock } from "../../src/protocol/system-clock.ts";

test("a wait leaves no listener with the signal", async () => {
  const { signal } = new AbortController();
  const limit = new RateLimit(systemClock, 10_000);
  for (let i = 0; i < 20; i++) await limit.take(10, signal);
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});

test.each(["before", "during"])("an abort %s a wait ends it", async (when) => {
  const controller = new AbortController();
  if (when === "before") controller.abort();
  const wait = new RateLimit(systemClock, MIN_RATE).take(100, controller.signal);
  controller.abort();
  await wait;
});

test("what an abort has ended keeps no process alive", async () => {
  const of = (path: string) => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url).href);
  const program = `
    import { RateLimit } from ${of("migration/rate-limit.js")};
    import { systemClock } from ${of("protocol/system-clock.js")};
    const controller = new AbortController();
    const wait = new RateLimit(systemClock, ${MIN_RATE}).take(100, controller.signal);
    controller.abort();
    await wait;
    console.log("over");
  `;
  const running = promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  onTestFinished(() => void running.child.kill());
  const { stdout } = await running;
  expect(stdout).toBe("over\n"); // and it has ended; it would have stayed for a day
});
