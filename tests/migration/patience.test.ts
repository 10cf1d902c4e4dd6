/** Whom a copier blames when it has waited long enough. Clock and session are made up. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { patiently } from "../../src/migration/patience.ts";
import { Retry } from "../../src/protocol/outcome.ts";
import type { Session } from "../../src/protocol/session.ts";
import type { View } from "../../src/protocol/view.ts";

const view = { document: { id: "d" } } as View;
const target = { index: 1, name: "target", address: "127.0.0.1:1" };

/** What a step that always fails with this ends with. */
function ends(cause: unknown, redisAnswers = true): Promise<unknown> {
  let now = 0;
  const clock = {
    now: () => now,
    sleep: async (ms: number) => {
      now += 100 * ms;
    },
  };
  const session = {
    clock,
    view,
    enter: () => 0,
    leave: () => {},
    refresh: async () => {},
    isFresh: () => redisAnswers,
  };
  const step = () => Promise.reject(new Retry(cause));
  return patiently(session as unknown as Session, view, target, undefined, step).catch((error: unknown) => error);
}

test("the server that was silent, which may be the old owner", async () => {
  const cause = new RingshiftError("TIMEOUT", "no answer", { node: "source" });
  const error = await ends(cause);
  expect(error).toMatchObject({ code: "MIGRATION_STOPPED", node: "source", cause });
  expect(String(error)).toContain(
    "source does not answer (should it be gone for good: ringshift migration abandon source)",
  );
});

test("the server that was asked, where nothing says which was silent", async () => {
  const error = await ends(undefined);
  expect(error).toMatchObject({ code: "MIGRATION_STOPPED", node: "target" });
  expect(String(error)).toContain("target does not answer");
});

test("Redis, and no server", async () => {
  const error = await ends(new RingshiftError("TIMEOUT", "no answer", { node: "source" }), false);
  expect(error).toMatchObject({ code: "MIGRATION_STOPPED", node: undefined });
  expect(String(error)).toContain("Redis does not answer");
});
