import { describe, expect, test } from "vitest";
import {
  changed,
  decide,
  initialState,
  type PolicySettings,
  type PolicyState,
  type Sample,
} from "../../src/observer/policy.ts";

const settings: PolicySettings = {
  evictionsPerSecond: 1,
  memoryShare: 0.9,
  outAfterSeconds: 10,
  inBelowShare: 0.5,
  inAfterSeconds: 100,
  coolDownSeconds: 30,
  minNodes: 2,
  maxNodes: 4,
}; // prettier-ignore

/** Three nodes with so much of 100 bytes in use, sampled every second. */
function run(
  seconds: number,
  from: { at: number; state: PolicyState },
  fill: (second: number) => Partial<Sample> & { bytes?: number; evictions?: number },
  own = settings,
) {
  const actions: string[] = [];
  let { state } = from;
  let last = decide(state, sampleAt(from.at, {}), own);
  for (let i = 1; i <= seconds; i++) {
    const at = from.at + i;
    last = decide(state, sampleAt(at, fill(i)), own);
    state = last.state;
    if (last.action.kind === "none") continue;
    actions.push(`${i} ${last.action.kind} ${last.action.name}`);
    state = changed(state, at * 1000);
  }
  return { actions, last, state, at: from.at + seconds };
}

function sampleAt(
  second: number,
  { bytes = 60, evictions = 0, ...rest }: Partial<Sample> & { bytes?: number; evictions?: number },
): Sample {
  const nodes = ["a", "b", "s1"].map((name) => ({ name, bytes, limitBytes: 100, evictions }));
  return {
    nowMs: second * 1000,
    probedMs: second * 1000,
    nodes,
    size: 3,
    free: ["s2"],
    used: ["s1"],
    busy: false,
    ...rest,
  };
}
const begin = { at: 1000, state: initialState(1000_000) };
const later = { at: 2000, state: initialState(1000_000) };

describe("out", () => {
  test("memory over the threshold for the whole time, and after the cool-down", () => {
    expect(run(60, begin, () => ({ bytes: 91 })).actions).toEqual(["30 add s2", "60 add s2"]);
    expect(run(35, later, () => ({ bytes: 91 })).actions).toEqual(["11 add s2"]);
  });

  test("evictions over the threshold", () => {
    expect(run(20, later, (i) => ({ evictions: i })).actions).toEqual(["12 add s2"]); // three nodes: 3/s, known from the second sample on
    expect(run(20, later, (i) => ({ evictions: Math.floor(i / 3) })).actions).toEqual([]);
  });

  test("evictions over the threshold, in probes that are rarer than samples", () => {
    const every = (seconds: number, perSecond: number) => (i: number) => {
      const probed = i - (i % seconds);
      return { probedMs: (later.at + probed) * 1000, evictions: probed * perSecond };
    };
    expect(run(40, later, every(5, 1)).actions).toEqual(["15 add s2"]); // 3/s, known from the second probe on
    expect(run(40, later, every(5, 0.3)).actions).toEqual([]);
    expect(run(29, later, every(15, 1)).actions).toEqual([]); // one probe saw it: the next one has to as well
    expect(run(30, later, every(15, 1)).actions).toEqual(["30 add s2"]);
  });

  test("a dip starts the clock anew", () => {
    expect(run(20, later, (i) => ({ bytes: i === 9 ? 80 : 91 })).actions).toEqual(["20 add s2"]);
  });

  test("a server that restarts evicts nothing", () => {
    expect(run(20, later, (i) => ({ evictions: i === 1 ? 1_000_000 : 0 })).actions).toEqual([]);
  });

  test.each([
    ["no spare is left", { free: [] }, settings],
    ["observer.maxNodes is 3", {}, { ...settings, maxNodes: 3 }],
    ["a change is under way", { busy: true }, settings],
  ])("%s", (blocked, sample, own) => {
    const { actions, last } = run(50, later, () => ({ bytes: 91, ...sample }), own);
    expect([actions, last.blocked]).toEqual([[], blocked]);
  });
});

describe("in", () => {
  test("the spare added last, when the rest would stay below the share for the whole time", () => {
    expect(run(120, later, () => ({ bytes: 33 })).actions).toEqual(["101 remove s1"]); // 99 of 200
    expect(run(120, later, () => ({ bytes: 34 })).actions).toEqual([]); // 102 of 200
    expect(run(120, later, () => ({ bytes: 10, used: ["s0", "s1"] })).actions).toEqual(["101 remove s1"]);
  });

  test("never what is no spare, nor below the bound, nor with evictions, nor with a node that does not answer", () => {
    const least = { ...settings, minNodes: 3 };
    expect(run(120, later, () => ({ bytes: 10, used: [] })).actions).toEqual([]);
    expect(run(120, later, () => ({ bytes: 10 }), least).actions).toEqual([]);
    expect(run(120, later, (i) => ({ bytes: 10, evictions: Math.floor(i / 50) })).actions).toEqual([]);
    expect(run(120, later, () => ({ bytes: 10, size: 4 })).actions).toEqual([]);
  });

  test("no flapping: what was added because memory was full is not removed at the same load", () => {
    const full = run(40, later, () => ({ bytes: 91, used: [] }));
    expect(full.actions).toEqual(["11 add s2"]);
    const after = {
      nodes: ["a", "b", "c", "s2"].map((name) => ({ name, bytes: 68, limitBytes: 100, evictions: 0 })),
      size: 4,
      free: [],
      used: ["s2"],
    };
    expect(run(1000, full, () => after).actions).toEqual([]);
  });
});
