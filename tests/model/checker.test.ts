/** What the model's checker accepts and refuses. */
import { describe, expect, it } from "vitest";
import { History, type Kind, type Operation } from "../../src/model/history.ts";
import { judge } from "../../src/model/linearize.ts";

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

  it("keeps the order of one process' calls, but for its reads among themselves", () => {
    const overlapping = (who: readonly [string, string], kinds: readonly [Kind, Kind], answers: readonly unknown[]) => {
      const taken = new History();
      taken.end(taken.begin("init", "set", "k", "1"), true);
      const [first, second] = [taken.begin(who[0], kinds[0], "k", "2"), taken.begin(who[1], kinds[1], "k", "3")];
      const other = taken.begin("z", "set", "k", "4");
      taken.end(second, answers[1] as Operation["answer"]);
      taken.end(other, true);
      taken.end(first, answers[0] as Operation["answer"]);
      return judge(taken.operations);
    };
    expect(overlapping(["c", "d"], ["get", "set"], ["3", true])).toBe("linearizable");
    expect(overlapping(["c", "c"], ["get", "set"], ["3", true])).toBe("violation");
    expect(overlapping(["c", "c"], ["get", "set"], ["1", true])).toBe("linearizable");
    expect(overlapping(["c", "c"], ["get", "get"], ["4", "1"])).toBe("linearizable");
  });

  it("refuses a loaded value that is stored after a delete that was called later", () => {
    const load = (deleted: "before" | "after", read: string | undefined) => {
      const taken = new History();
      const remove = () => taken.end(taken.begin("d", "delete", "k"), false);
      if (deleted === "before") remove();
      taken.begin("c", "fill", "k", "7");
      if (deleted === "after") remove();
      taken.end(taken.begin("e", "get", "k"), read);
      return judge(taken.operations);
    };
    expect(load("before", "7")).toBe("linearizable");
    expect(load("after", undefined)).toBe("linearizable");
    expect(load("after", "7")).toBe("violation");
  });
});
