/** The order of calls per key (lanes.ts), held against a plain bookkeeping with one list a key. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Lanes } from "../../src/client/lanes.ts";

/** Hashes that fall into one slot, whatever their number, and some that do not. */
const HASHES: Readonly<Record<string, number>> = { a: 7, b: 7 + 2 ** 20, c: 7 + 2 ** 30, d: 8, e: 2 ** 32 - 1 };
const KEYS = Object.keys(HASHES);

/** What is sent at once and not answered, by key: the definition. */
class PlainBook {
  readonly #sent = new Map<string, boolean[]>();

  busy(key: string, write: boolean): boolean {
    const sent = this.#sent.get(key) ?? [];
    return write ? sent.length > 0 : sent.includes(true);
  }

  begin(key: string, write: boolean): void {
    this.#sent.set(key, [...(this.#sent.get(key) ?? []), write]);
  }

  end(key: string): void {
    this.#sent.set(key, this.#sent.get(key)!.slice(1));
  }

  open(key: string): number {
    return this.#sent.get(key)?.length ?? 0;
  }
}

describe("what is sent at once", () => {
  test("is known exactly, also of keys that share a slot", () => {
    const step = fc.record({ key: fc.constantFrom(...KEYS), write: fc.boolean(), end: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom(undefined, 1, 4), (steps, slots) => {
        const [lanes, book] = [new Lanes(slots), new PlainBook()];
        for (const { key, write, end } of steps) {
          if (end && book.open(key) > 0) {
            lanes.end(key, HASHES[key]!);
            book.end(key);
          } else if (!book.busy(key, write)) {
            lanes.begin(key, HASHES[key]!, write);
            book.begin(key, write);
          }
          for (const other of KEYS) {
            for (const asWrite of [true, false]) {
              expect(lanes.busy(other, HASHES[other]!, asWrite)).toBe(book.busy(other, asWrite));
            }
          }
        }
      }),
    );
  });
});

describe("a lane", () => {
  test("waits for what was sent at once on its key, and for that alone", async () => {
    const lanes = new Lanes();
    const ran: string[] = [];
    for (const key of ["a", "b"]) {
      lanes.begin(key, HASHES[key]!, false);
      lanes.begin(key, HASHES[key]!, false);
    }
    const first = lanes.run("b", HASHES.b!, true, async () => void ran.push("b"));
    const second = lanes.run("a", HASHES.a!, true, async () => void ran.push("a"));
    lanes.end("a", HASHES.a!);
    lanes.end("b", HASHES.b!);
    await new Promise((resolve) => setImmediate(resolve));
    expect(ran).toStrictEqual([]);
    lanes.end("a", HASHES.a!);
    await second;
    expect(ran).toStrictEqual(["a"]);
    lanes.end("b", HASHES.b!);
    await first;
    expect(ran).toStrictEqual(["a", "b"]);
  });

  test("holds back what would be sent at once until all in it have run", async () => {
    const lanes = new Lanes();
    let release = () => {};
    const work = lanes.run("a", HASHES.a!, true, () => new Promise<void>((resolve) => (release = resolve)));
    const behind = lanes.run("a", HASHES.a!, true, async () => {});
    expect(lanes.busy("a", HASHES.a!, false)).toBe(true);
    expect(lanes.busy("b", HASHES.b!, true)).toBe(false);
    release();
    await Promise.all([work, behind]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(lanes.busy("a", HASHES.a!, true)).toBe(false);
  });

  test("lets the reads behind a write begin together when it is answered, and a write behind them after all of them", async () => {
    const lanes = new Lanes();
    const ran: string[] = [];
    const releases: (() => void)[] = [];
    const call = (name: string, write: boolean) =>
      lanes.run("a", HASHES.a!, write, () => {
        ran.push(name);
        return new Promise<void>((resolve) => releases.push(resolve));
      });
    const calls = [
      call("set 1", true),
      call("get 1", false),
      call("get 2", false),
      call("set 2", true),
      call("get 3", false),
    ];
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    expect(ran).toStrictEqual(["set 1"]);
    releases[0]!();
    await turn();
    expect(ran).toStrictEqual(["set 1", "get 1", "get 2"]);
    releases[2]!();
    await turn();
    expect(ran).toHaveLength(3);
    releases[1]!();
    await turn();
    expect(ran).toStrictEqual(["set 1", "get 1", "get 2", "set 2"]);
    releases[3]!();
    await turn();
    releases[4]!();
    await Promise.all(calls);
    expect(ran.at(-1)).toBe("get 3");
  });

  test("of reads alone holds back writes only", async () => {
    const lanes = new Lanes();
    let release = () => {};
    const read = lanes.run("a", HASHES.a!, false, () => new Promise<void>((resolve) => (release = resolve)));
    expect(lanes.busy("a", HASHES.a!, false)).toBe(false);
    expect(lanes.busy("a", HASHES.a!, true)).toBe(true);
    release();
    await read;
  });

  test("goes on after a call that fails", async () => {
    const lanes = new Lanes();
    const failing = lanes.run("a", HASHES.a!, true, () => Promise.reject(new Error("failed")));
    const behind = lanes.run("a", HASHES.a!, true, async () => "done");
    await expect(failing).rejects.toThrow("failed");
    expect(await behind).toBe("done");
  });
});
