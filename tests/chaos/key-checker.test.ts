/** The checker on histories made by hand: what it has to find, and what it must not call a bug. */
import { describe, expect, test } from "vitest";
import { LATE_MS } from "../../src/chaos/events.ts";
import type { Loss, Operation, Outcome, Result, Verb } from "../../src/chaos/history.ts";
import { checkKey } from "../../src/chaos/key-checker.ts";
import type { Tolerance } from "../../src/chaos/register.ts";

const EXACT: Tolerance = { shorter: () => 0, longer: () => 0 };

let ids = 0;

/** A call from `at` to `end`. */
function did(
  at: number,
  end: number,
  verb: Verb,
  text: string,
  result: Result,
  more: Partial<Operation> = {},
): Operation {
  const call = { id: ids++, at, key: "a/v1", verb, text, ttl: 0, delta: 0, expected: "", moving: false };
  return { ...call, client: "1.1", end, outcome: "ok", result, code: "", ...more };
}

/** A write whose effect is unknown. */
function unsure(
  at: number,
  end: number,
  verb: Verb,
  text: string,
  outcome: Outcome = "io",
  more: Partial<Operation> = {},
) {
  return did(at, end, verb, text, null, { outcome, ...more });
}

function kind(history: readonly Operation[], losses: readonly Loss[] = [], tolerance = EXACT): string {
  const verdict = checkKey(history, losses, tolerance);
  if (verdict.undecided) return "undecided";
  return verdict.violation?.kind ?? "fine";
}

const v1 = did(0, 1, "set", "v1", true);

describe("finds", () => {
  test("an acknowledged write that is gone", () => {
    expect(kind([v1, did(10, 11, "get", "", null)])).toBe("lostWrite");
    expect(kind([v1, did(10, 11, "delete", "", false)])).toBe("lostWrite");
    expect(kind([v1, did(10, 11, "add", "v2", true)])).toBe("lostWrite");
  });

  test("a value that comes back from the dead", () => {
    expect(kind([v1, did(2, 3, "delete", "", true), did(4, 5, "get", "", "v1")])).toBe("resurrection");
  });

  test("a value that was overwritten, by whatever command", () => {
    for (const over of [
      did(2, 3, "set", "v2", true),
      did(2, 3, "replace", "v2", true),
      did(2, 3, "cas", "v2", true, { expected: "v1" }),
      did(2, 3, "append", "+", true),
    ]) {
      expect(kind([v1, over, did(4, 5, "get", "", "v1")]), over.verb).toBe("staleRead");
    }
  });

  test("a read that goes back behind another read, although both overlap the write", () => {
    const history = [v1, did(2, 9, "set", "v2", true), did(3, 4, "get", "", "v2"), did(5, 6, "get", "", "v1")];
    expect(kind(history)).toBe("staleRead");
  });

  test("an append that is missing from the text", () => {
    const history = [
      v1,
      did(2, 3, "append", "+a", true),
      did(4, 5, "append", "+b", true),
      did(6, 7, "get", "", "v1+b"),
    ];
    expect(kind(history)).toBe("staleRead");
  });

  test("a cas over a value that was not there any more", () => {
    const history = [v1, did(2, 3, "set", "v2", true), did(4, 5, "cas", "v3", true, { expected: "v1" })];
    expect(kind(history)).toBe("staleRead");
  });

  test("a counter that lost an increment", () => {
    const first = did(0, 1, "incr", "0", 0, { delta: 5 });
    const history = [first, did(2, 3, "incr", "0", 5, { delta: 5 }), did(4, 5, "incr", "0", 7, { delta: 7 })];
    expect(kind(history)).toBe("lostIncrement");
  });

  test("a TTL that grew: read after its end, or told longer than it was given", () => {
    const short = did(0, 1, "set", "v1", true, { ttl: 10 });
    expect(kind([short, did(9_000, 9_001, "get", "", "v1")])).toBe("fine");
    expect(kind([short, did(12_000, 12_001, "get", "", "v1")])).toBe("ttlGrown");
    expect(kind([short, did(9_000, 9_001, "getMeta", "", 9)])).toBe("ttlGrown");
    expect(kind([short, did(9_000, 9_001, "getMeta", "", -1)])).toBe("ttlGrown");
  });

  test("a value whose bytes are not its own", () => {
    expect(kind([v1, did(2, 3, "get", "", "malformed:12:v1/8|v1v2")])).toBe("staleRead");
  });

  test("a write that was said not to have happened", () => {
    const refused = did(2, 3, "set", "v2", null, { outcome: "none", code: "NODE_DOWN" });
    expect(kind([v1, refused, did(4, 5, "get", "", "v2")])).toBe("staleRead");
  });

  test("a write of unknown effect that takes effect twice", () => {
    const history = [
      did(0, 1, "set", "v1", true),
      unsure(2, 3, "append", "+"),
      did(4, 5, "get", "", "v1+"),
      did(6, 7, "get", "", "v1++"),
    ];
    expect(kind(history)).toBe("staleRead");
  });

  test("a write of unknown effect that takes effect after its bound", () => {
    const history = [v1, unsure(2, 3, "set", "v2"), did(LATE_MS + 4, LATE_MS + 5, "get", "", "v1")];
    expect(kind([...history, did(LATE_MS + 6, LATE_MS + 7, "get", "", "v2")])).toBe("staleRead");
  });
});

describe("accepts", () => {
  test("overlapping calls in any order that explains them", () => {
    const history = [
      did(0, 10, "set", "v1", true),
      did(0, 10, "set", "v2", true),
      did(11, 12, "get", "", "v1"),
      did(11, 30, "set", "v3", true),
      did(13, 20, "get", "", "v3"),
      did(14, 19, "get", "", "v1"),
    ];
    expect(kind(history)).toBe("fine");
  });

  test("a read that is answered after a later write, for which it came first", () => {
    const history = [
      v1,
      did(10, 31, "replace", "v2", true),
      did(11, 40, "get", "", "v1"),
      did(50, 60, "get", "", "v2"),
    ];
    expect(kind(history)).toBe("fine");
  });

  test("a write of unknown effect: at once, late, or never, and by a process that died", () => {
    const late = did(100, 101, "get", "", "v2");
    for (const doubt of [unsure(2, 3, "set", "v2"), unsure(2, Number.POSITIVE_INFINITY, "set", "v2", "open")]) {
      expect(kind([v1, doubt, did(4, 5, "get", "", "v2"), late])).toBe("fine");
      expect(kind([v1, doubt, did(4, 5, "get", "", "v1"), late])).toBe("fine");
      expect(kind([v1, doubt, did(4, 5, "get", "", "v1"), did(100, 101, "get", "", "v1")])).toBe("fine");
    }
  });

  test("a write of unknown effect that is seen after its bound only", () => {
    const history = [v1, unsure(2, 3, "set", "v2"), did(LATE_MS + 50, LATE_MS + 51, "get", "", "v2")];
    expect(kind(history)).toBe("fine");
  });

  test("increments of unknown effect, each by itself", () => {
    const history = [
      did(0, 1, "incr", "0", 0, { delta: 1 }),
      unsure(2, 3, "incr", "0", "io", { delta: 10 }),
      unsure(2, 3, "incr", "0", "io", { delta: 100 }),
      did(4, 5, "incr", "0", 101, { delta: 1 }),
      did(6, 7, "incr", "0", 112, { delta: 1 }),
    ];
    expect(kind(history)).toBe("fine");
  });

  test("a value that expires by a TTL of unknown effect", () => {
    const late = [did(0, 1, "set", "v1", true, { ttl: 600 }), unsure(10, 11, "touch", "", "io", { ttl: 8 })];
    expect(kind([...late, did(9_000, 9_001, "get", "", null)])).toBe("fine");
    expect(kind([...late, did(7_000, 7_001, "get", "", null)])).toBe("lostWrite");
    expect(
      kind([
        did(0, 1, "set", "v1", true),
        unsure(10, 11, "set", "v2", "io", { ttl: 8 }),
        did(9_000, 9_001, "gat", "", null),
      ]),
    ).toBe("fine");
  });

  test("a cas that answers no without a reason: after a move or a restart it does", () => {
    expect(kind([v1, did(2, 3, "cas", "v2", false, { expected: "v1" }), did(4, 5, "get", "", "v1")])).toBe("fine");
  });

  test("a TTL that is told a little longer where something has moved", () => {
    const short = did(0, 1, "set", "v1", true, { ttl: 10 });
    const moved: Tolerance = { shorter: () => 0, longer: () => 3_000 };
    expect(kind([short, did(12_000, 12_001, "get", "", "v1")], [], moved)).toBe("fine");
    expect(kind([short, did(14_000, 14_001, "get", "", "v1")], [], moved)).toBe("ttlGrown");
  });

  test("a TTL of a touch that has tried twice, whatever its answer", () => {
    const history = [
      did(0, 10, "set", "a", true, { ttl: 45 }),
      did(20, 2_000, "touch", "", false, { ttl: 600 }),
      did(300, 310, "getMeta", "", 600),
      did(400, 410, "delete", "", true),
    ];
    expect(kind(history)).toBe("fine");
    const quick = history.map((one) => (one.verb === "touch" ? { ...one, at: 290, end: 299 } : one));
    expect(kind([...quick.slice(0, 3), did(320, 330, "get", "", "a")])).not.toBe("fine");
  });

  test("a touched value for as long as the touch gave it", () => {
    const history = [
      did(0, 1, "set", "v1", true, { ttl: 10 }),
      did(5_000, 5_001, "touch", "", true, { ttl: 60 }),
      did(50_000, 50_001, "gat", "", "v1", { ttl: 10 }),
      did(58_000, 58_001, "get", "", "v1"),
    ];
    expect(kind(history)).toBe("fine");
    expect(kind([...history, did(70_000, 70_001, "get", "", "v1")])).toBe("ttlGrown");
  });
});

describe("a loss", () => {
  const killed: Loss = { from: 10, to: 20, cause: "killed" };

  test("explains that a value is gone, once it could have happened, and is counted", () => {
    const gone = did(30, 31, "get", "", null);
    expect(checkKey([v1, gone], [killed], EXACT)).toEqual({
      violation: undefined,
      undecided: false,
      losses: ["killed"],
    });
    expect(kind([v1, did(5, 6, "get", "", null)], [killed])).toBe("lostWrite");
    expect(checkKey([v1, did(30, 31, "get", "", "v1")], [killed], EXACT).losses).toEqual([]);
  });

  test("does not explain a value that was written after it", () => {
    expect(kind([v1, did(21, 22, "set", "v2", true), did(30, 31, "get", "", null)], [killed])).toBe("lostWrite");
  });

  test("does not explain an old value", () => {
    expect(kind([v1, did(2, 3, "set", "v2", true), did(30, 31, "get", "", "v1")], [killed])).toBe("staleRead");
    const gone = did(30, 31, "get", "", null);
    expect(kind([v1, gone, did(32, 33, "get", "", "v1")], [killed])).toBe("resurrection");
  });

  test("takes a write along whose answer came after it", () => {
    expect(kind([did(5, 40, "set", "v1", true), did(50, 51, "get", "", null)], [killed])).toBe("fine");
  });

  test("comes with a set that its server has refused", () => {
    const refused = did(2, 3, "set", "v2", null, { outcome: "refused", code: "SERVER_ERROR" });
    expect(checkKey([v1, refused, did(4, 5, "get", "", null)], [], EXACT).losses).toEqual(["unstorable"]);
    expect(kind([v1, refused, did(4, 5, "get", "", "v1")])).toBe("fine");
    expect(kind([v1, refused, did(4, 5, "get", "", "v2")])).toBe("staleRead");
  });
});
