import { describe, expect, test } from "vitest";
import { judgeExactly, Ledger } from "../../src/demo/ledger.ts";

const KEYS = 6;
/** Writes keys 0, 2, 4. */
const writer = () => new Ledger(KEYS, { index: 0, of: 2 });
/** Reads them. */
const reader = () => new Ledger(KEYS, { index: 1, of: 2 });
const read = (ledger: Ledger, key: number, seen: Parameters<Ledger["judge"]>[2]) =>
  ledger.judge(key, ledger.stamp(key), seen);

describe("the writer of a key", () => {
  test("accepts what it wrote, and nothing before it wrote anything", () => {
    const ledger = writer();
    expect(read(ledger, 2, "miss")).toBe("ok");
    ledger.acknowledged(2, 2 * ledger.nextVersion(2));
    expect(read(ledger, 2, 1)).toBe("ok");
    expect(ledger.present(2)).toBe(true);
  });

  test("calls an older version stale", () => {
    const ledger = writer();
    ledger.acknowledged(2, 2);
    ledger.acknowledged(2, 4);
    expect(read(ledger, 2, 1)).toBe("stale");
    expect(read(ledger, 2, 2)).toBe("ok");
  });

  test("calls a miss lost while there is a value", () => {
    const ledger = writer();
    ledger.acknowledged(2, 2);
    expect(read(ledger, 2, "miss")).toBe("lost");
  });

  test("calls a deleted value that is back stale", () => {
    const ledger = writer();
    ledger.acknowledged(2, 2);
    ledger.acknowledged(2, 3);
    expect(read(ledger, 2, "miss")).toBe("ok");
    expect(read(ledger, 2, 1)).toBe("stale");
  });

  test("calls a version that nobody wrote, and what is no value of the key, stale", () => {
    const ledger = writer();
    ledger.acknowledged(2, 2);
    expect(read(ledger, 2, 2)).toBe("stale");
    expect(read(ledger, 2, "malformed")).toBe("stale");
  });

  test("accepts both outcomes of a write of unknown effect, and the later one for good once it was seen", () => {
    const ledger = writer();
    ledger.acknowledged(2, 2);
    ledger.doubtful(2, 4);
    expect(read(ledger, 2, 1)).toBe("ok");
    expect(ledger.nextVersion(2)).toBe(3); // not 2: that may be written already
    expect(read(ledger, 2, 2)).toBe("ok");
    expect(read(ledger, 2, 1)).toBe("stale");
    expect(read(ledger, 2, "miss")).toBe("lost");
  });

  test("accepts a write of unknown effect that takes effect after later ones, but nothing else", () => {
    const ledger = writer();
    ledger.acknowledged(2, 2);
    ledger.doubtful(2, 4);
    ledger.acknowledged(2, 6);
    expect(read(ledger, 2, 2)).toBe("ok");
    expect(ledger.stamp(2)).toBe(6);
    expect(read(ledger, 2, 1)).toBe("stale");
    expect(read(ledger, 2, "miss")).toBe("lost");
    expect(ledger.nextVersion(2)).toBe(4);
  });

  test("accepts a miss after a delete of unknown effect, and not the deleted value from then on", () => {
    const ledger = writer();
    ledger.acknowledged(2, 2);
    ledger.doubtful(2, 3);
    expect(read(ledger, 2, 1)).toBe("ok");
    expect(read(ledger, 2, "miss")).toBe("ok");
    expect(read(ledger, 2, 1)).toBe("stale");
    expect(ledger.present(2)).toBe(false);
  });
});

describe("a reader of another process' key", () => {
  test("accepts newer versions, and calls going back stale", () => {
    const ledger = reader();
    expect(read(ledger, 2, 1)).toBe("ok");
    expect(read(ledger, 2, 3)).toBe("ok");
    expect(read(ledger, 2, 2)).toBe("stale");
    expect(read(ledger, 2, 3)).toBe("ok");
  });

  test("calls a value stale that it has missed before: the next one has to be newer", () => {
    const ledger = reader();
    expect(read(ledger, 2, 1)).toBe("ok");
    expect(read(ledger, 2, "miss")).toBe("ok");
    expect(read(ledger, 2, 1)).toBe("stale");
    expect(read(ledger, 2, 2)).toBe("ok");
  });

  test("calls a value stale that its writer said it had overwritten or deleted", () => {
    const ledger = reader();
    ledger.acknowledged(2, 4);
    expect(read(ledger, 2, 1)).toBe("stale");
    expect(read(ledger, 2, 2)).toBe("ok");
    ledger.acknowledged(2, 5);
    expect(read(ledger, 2, 2)).toBe("stale");
  });

  test("accepts a write of unknown effect at any time", () => {
    const ledger = reader();
    ledger.doubtful(2, 4);
    ledger.acknowledged(2, 6);
    expect(read(ledger, 2, 2)).toBe("ok");
    expect(read(ledger, 2, 1)).toBe("stale");
    expect(read(ledger, 2, 3)).toBe("ok");
  });

  test("holds a read only to what was known when it began", () => {
    const ledger = reader();
    const floor = ledger.stamp(2);
    ledger.acknowledged(2, 4);
    expect(ledger.judge(2, floor, 1)).toBe("ok");
    expect(read(ledger, 2, 1)).toBe("stale"); // and forgets nothing by it
  });
});

test("an exact judgement knows only the stamp and the writes of unknown effect", () => {
  expect(judgeExactly(4, [], 2)).toBe("ok");
  expect(judgeExactly(4, [], 1)).toBe("stale");
  expect(judgeExactly(4, [], "malformed")).toBe("stale");
  expect(judgeExactly(4, [], "miss")).toBe("lost");
  expect(judgeExactly(4, [2, 5], "miss")).toBe("ok");
  expect(judgeExactly(5, [], 2)).toBe("stale");
  expect(judgeExactly(5, [6], 3)).toBe("ok");
});
