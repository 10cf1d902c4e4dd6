/** A small part of `npm run model`: the product's own code under the deterministic scheduler, and the checker that judges it. */
import { describe, expect, it } from "vitest";
import { History, type Kind, type Operation } from "../../src/model/history.ts";
import { judge } from "../../src/model/linearize.ts";
import { Random } from "../../src/model/random.ts";
import { type RunResult, runOnce } from "../../src/model/run.ts";
import { SimServer } from "../../src/model/server.ts";
import { addDelta } from "../../src/model/texts.ts";
import { RULES, type Rule } from "../../src/model/without.ts";

/** Runs seeds from `first` on until `enough` says so, at most `most` of them. */
async function runSeeds(first: number, most: number, without: readonly Rule[] = [], enough = (_: RunResult) => false) {
  const results: RunResult[] = [];
  for (let seed = first; seed < first + most; seed++) {
    const result = await runOnce({ seed, without: new Set(without) });
    results.push(result);
    if (enough(result)) break;
  }
  return results;
}

const violates = (result: RunResult) => result.violations.length > 0;

describe("the model", () => {
  it("finds every history of 300 runs linearizable", async () => {
    const results = await runSeeds(1_000, 300);
    expect(results.filter(violates).map(({ seed }) => seed)).toEqual([]);
    const sum = (of: (result: RunResult) => number) => results.reduce((total, result) => total + of(result), 0);
    const count = (name: string) => sum(({ counts }) => counts.get(name) ?? 0);
    expect(sum(({ answered }) => answered)).toBeGreaterThan(4_000);
    expect(count("migrations")).toBeGreaterThan(300);
    for (const fault of ["evict", "fence", "restart", "stall", "failover", "unreach", "crash", "pause", "cut"]) {
      expect(count(fault), fault).toBeGreaterThan(10);
    }
  });

  it("replays a seed exactly", async () => {
    for (const seed of [7, 253, 822, 1043]) {
      const runs: { lines: string[]; result: RunResult }[] = [];
      for (let i = 0; i < 2; i++) {
        const lines: string[] = [];
        runs.push({ lines, result: await runOnce({ seed, trace: (line) => lines.push(line) }) });
      }
      expect(runs[1]!.lines).toEqual(runs[0]!.lines);
      expect(runs[1]!.result).toEqual(runs[0]!.result);
      expect(runs[0]!.lines.length).toBeGreaterThan(100);
    }
  });

  // the finer rules need more runs than a test has time for: `npm run model -- --without RULE`
  it.each<Rule>(["nofence", "nofenceS", "nopull", "nokill", "no3rd"])(
    "notices when the rule %s is switched off",
    async (rule) => {
      expect(RULES[rule]).toBeDefined();
      const results = await runSeeds(0, 1_500, [rule], violates);
      expect(results.some(violates)).toBe(true);
    },
  );
});

describe("the checker", () => {
  /** `begin` and `end` by hand: kind, value, answer; overlapping ones are nested in a list. */
  function history(...steps: readonly (readonly [Kind, string, Operation["answer"] | "open"])[]): Operation[] {
    const taken = new History();
    for (const [kind, value, answer] of steps) {
      const operation = taken.begin("c", kind, "k", value);
      if (answer !== "open") taken.end(operation, answer);
    }
    return taken.operations;
  }

  it("accepts what one server could have answered", () => {
    const operations = history(["set", "10", true], ["incr", "1", 11], ["append", "5", true], ["get", "", "115"]);
    expect(judge(operations)).toBe("linearizable");
  });

  it("refuses a lost write, a stale read, a resurrection and a lost increment", () => {
    expect(judge(history(["set", "1", true], ["get", "", undefined]))).toBe("violation");
    expect(judge(history(["set", "1", true], ["set", "2", true], ["get", "", "1"]))).toBe("violation");
    expect(judge(history(["set", "1", true], ["delete", "", true], ["get", "", "1"]))).toBe("violation");
    expect(judge(history(["set", "1", true], ["incr", "1", 2], ["incr", "1", 2]))).toBe("violation");
  });

  it("lets an unanswered write take effect once, late, or never", () => {
    expect(judge(history(["set", "1", true], ["set", "2", "open"], ["get", "", "1"]))).toBe("linearizable");
    expect(judge(history(["set", "1", true], ["set", "2", "open"], ["get", "", "1"], ["get", "", "2"]))).toBe(
      "linearizable",
    );
    const twice = history(["set", "2", "open"], ["get", "", "2"], ["set", "3", true], ["get", "", "2"]);
    expect(judge(twice)).toBe("violation");
  });

  it("lets a loss take the value that it names, once, and no other", () => {
    expect(judge(history(["set", "1", true], ["loss", "1", "open"], ["get", "", undefined]))).toBe("linearizable");
    expect(judge(history(["set", "1", true], ["loss", "2", "open"], ["get", "", undefined]))).toBe("violation");
    const back = history(["set", "1", true], ["loss", "1", "open"], ["get", "", undefined], ["get", "", "1"]);
    expect(judge(back)).toBe("violation");
  });
});

describe("the simulated memcached", () => {
  const data = Buffer.from("1000");
  const make = () =>
    new SimServer(
      "a",
      () => 0,
      0,
      () => {},
    );

  it("answers as memcached 1.6.18 does", () => {
    const server = make();
    const status = (line: string, value?: Buffer) => server.execute({ line, data: value }).status;
    expect(status("ms k 4 T0 F0 MR C5", data)).toBe("NF");
    expect(status("ms k 4 T0 F0 MA C5", data)).toBe("NS");
    expect(status("ms k 4 T0 F0 C5", data)).toBe("NF");
    expect(status("ms k 4 T0 F0 ME", data)).toBe("HD");
    expect(status("ms k 4 T0 F0 ME", data)).toBe("NS");
    expect(status("ms k 4 T0 F0 MA C99", data)).toBe("EX");
    expect(server.execute({ line: "ma k D1 v MD" }).value?.toString()).toBe("999");
    expect(server.execute({ line: "mg k v" }).value?.toString()).toBe("999 ");
    expect(status("add p 1381192776 5 0", Buffer.alloc(0))).toBe("STORED");
    expect(status("ma p D1 v")).toBe("CLIENT_ERROR");
    expect(status("ms p 1 T0 F0 MA", Buffer.from("7"))).toBe("HD");
    expect(server.execute({ line: "mg p f t" })).toMatchObject({ flags: 1_381_192_776, ttl: 5 });
  });

  it("counts like memcached", () => {
    expect(addDelta("1000", 1n, true)).toBe("999 ");
    expect(addDelta("999 7", 1n, false)).toBe("1000 ");
    expect(addDelta("9", 1n, false)).toBe("10");
    expect(addDelta("3", 5n, true)).toBe("0");
    expect(addDelta("x", 1n, false)).toBeUndefined();
    expect(addDelta(String(2n ** 64n - 1n), 1n, false)?.trimEnd()).toBe("0");
  });

  it("draws the same numbers from the same seed", () => {
    const draw = (seed: number) =>
      Array.from(
        { length: 5 },
        (
          (random) => () =>
            random.next()
        )(new Random(seed)),
      );
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });
});
