/** What a run is judged by: values, the log, and which keys an incident concerns. */
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { explain } from "../../src/chaos/explain.ts";
import type { Call, Operation, Verb } from "../../src/chaos/history.ts";
import { bucketOf, clockSince, JournalWriter, readBucket } from "../../src/chaos/journal.ts";
import { judgeRun } from "../../src/chaos/judge.ts";
import { keyAt } from "../../src/chaos/keys.ts";
import { Timeline } from "../../src/chaos/timeline.ts";
import { contentOf, tokenOf } from "../../src/chaos/values.ts";
import { View } from "../../src/protocol/view.ts";
import type { NodeRecord, TopologyDocument } from "../../src/topology/document.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";

const NODES: readonly NodeRecord[] = [1, 2, 3].map((index) => ({
  index,
  name: `n${index}`,
  address: `127.0.0.1:${index}`,
}));

function document(epoch: number, more: Partial<TopologyDocument> = {}): TopologyDocument {
  return {
    version: 1,
    id: `id${epoch}`,
    epoch,
    phase: "S",
    ring: { compat: "ringshift", hashTags: false },
    nodes: NODES,
    previousNodes: null,
    fences: {},
    settling: false,
    generation: 0,
    migrations: 0,
    nextIndex: 4,
    runId: "run",
    untrusted: [],
    operation: null,
    ...more,
  };
}

function ownerOf(key: string, nodes = NODES): string {
  const view = new View(document(1, { nodes }), "run", 0);
  return view.owner(view.hashOf(`a:${key}`)).address;
}

/** A key of ring a that the server owns. */
function keyOn(address: string, nodes = NODES): string {
  for (let i = 0; ; i++) if (ownerOf(`v${i}`, nodes) === address) return `v${i}`;
}

describe("values", () => {
  test.each([0, 1, 17, 5_000])("a value of %i bytes is known by its token", (size) => {
    expect(tokenOf(contentOf("3.1.17", size))).toBe("3.1.17");
  });

  test("a value that is torn, mixed or foreign is told as malformed", () => {
    const whole = contentOf("3.1.17", 100);
    const other = contentOf("3.1.18", 100);
    for (const wrong of [whole.slice(0, -1), `${whole}x`, whole.slice(0, 50) + other.slice(50), "hello", ""]) {
      expect(tokenOf(wrong)).toMatch(/^malformed:/);
    }
  });

  test("the keys of a run are of all kinds, the hot ones too", () => {
    const kinds = (keys: string[]) => [...new Set(keys.map((key) => key[0]))].sort();
    expect(kinds(Array.from({ length: 24 }, (_, i) => keyAt(i)))).toEqual(["e", "n", "t", "v"]);
  });
});

describe("the log", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringshift-chaos-test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const call = (id: number, at: number, verb: Verb, text: string): Call => {
    return { id, at, key: "a/v1", verb, text, ttl: 0, delta: 0, expected: "", moving: false };
  };

  test("joins the calls of several processes with their answers; what a dead one had begun is open", () => {
    const [first, second] = [new JournalWriter(folder, "1.1"), new JournalWriter(folder, "2.1")];
    const set = call(1, 10, "set", "1.1.1");
    first.call(set);
    second.call(call(1, 5, "set", "2.1.1"));
    first.answer(set, 12, "ok", true, "");
    first.close();
    second.close();
    appendFileSync(join(folder, `${bucketOf("a/v1")}-2.1.log`), '[1,1,6,"ok",tr'); // it died in this line
    const operations = readBucket(folder, bucketOf("a/v1")).get("a/v1")!;
    expect(operations.map(({ client, outcome, end }) => [client, outcome, end])).toEqual([
      ["2.1", "open", Number.POSITIVE_INFINITY],
      ["1.1", "ok", 12],
    ]);
    expect(new Set(operations.map(({ id }) => id)).size).toBe(2);
  });

  test("is judged key by key, and a violation is told with what happened around it", () => {
    const journal = new JournalWriter(folder, "1.1");
    const done = (one: Call, end: number, result: string | boolean | null) => {
      journal.call(one);
      journal.answer(one, end, "ok", result, "");
    };
    done(call(1, 10, "set", "1.1.1"), 12, true);
    done(call(2, 20, "delete", ""), 22, true);
    done(call(3, 30, "get", ""), 32, "1.1.1");
    done({ ...call(4, 30, "set", "1.1.2"), key: "a/v2" }, 31, true);
    journal.close();
    const timeline = new Timeline();
    timeline.saw("a", { at: 1, document: document(1) });
    timeline.note(25, "something happened");
    const { operations, writes, keys, violations, texts } = judgeRun(folder, timeline);
    expect({ operations, writes, keys }).toEqual({ operations: 4, writes: 3, keys: 2 });
    expect(violations).toEqual({ lostWrite: 0, resurrection: 1, staleRead: 0, lostIncrement: 0, ttlGrown: 0 });
    expect(texts).toHaveLength(1);
    expect(texts[0]).toMatch(/^resurrection of a\/v1: there was nothing\n/);
    expect(texts[0]).toMatch(/delete -> true\n.*something happened\n.*get -> "1\.1\.1" {3}<== resurrection/);
  });

  test("has times on a clock that all processes share", () => {
    const startNs = process.hrtime.bigint();
    const clock = clockSince(startNs);
    const [before, after] = [clock(), clock()];
    expect(before).toBeGreaterThanOrEqual(0);
    expect(after).toBeGreaterThanOrEqual(before);
  });
});

const SET: Operation = {
  ...{ id: 1, at: 1_000, end: 1_100, key: "a/v1", verb: "set", text: "x", ttl: 0, delta: 0, expected: "" },
  ...{ moving: false, client: "1.1", outcome: "ok", result: true, code: "" },
};

describe("an incident", () => {
  const [first, second] = [NODES[0]!.address, NODES[1]!.address];
  const killed = { from: 10_000, to: 10_100, cause: "killed", address: first } as const;
  const causes = (timeline: Timeline, ring: string, key: string) => {
    return timeline.lossesOf(ring, namespaceOf(ring).keyPrefix + key).map(({ cause }) => cause);
  };

  test("concerns the keys of its server alone", () => {
    const timeline = new Timeline();
    timeline.saw("a", { at: 0, document: document(1) });
    timeline.incidents.push(killed);
    expect(causes(timeline, "a", keyOn(first))).toEqual(["killed"]);
    expect(causes(timeline, "a", keyOn(second))).toEqual([]);
  });

  test("concerns keys that are moving to its server, and from it; not those that had come away before", () => {
    const without = NODES.slice(1);
    const moving = keyOn(first); // first leaves: its keys go elsewhere
    const timeline = new Timeline();
    timeline.saw("a", { at: 0, document: document(1) });
    timeline.saw("a", { at: 9_000, document: document(2, { phase: "D", nodes: without, previousNodes: NODES }) });
    timeline.incidents.push(killed, { ...killed, cause: "evicted", address: ownerOf(moving, without) });
    expect(causes(timeline, "a", moving)).toEqual(["killed", "evicted"]);
    const settled = new Timeline();
    settled.saw("a", { at: 0, document: document(3, { nodes: without }) });
    settled.incidents.push(killed);
    expect(causes(settled, "a", moving)).toEqual([]);
  });

  test("of a server that refuses values concerns what moves to it, in D only", () => {
    const without = NODES.slice(1);
    const [moving, staying] = [keyOn(first), keyOn(second, without)];
    const timeline = new Timeline();
    timeline.saw("a", { at: 0, document: document(1, { nodes: without }) });
    timeline.saw("a", { at: 9_000, document: document(2, { phase: "D", nodes: NODES, previousNodes: without }) });
    timeline.saw("a", { at: 12_000, document: document(3) });
    const slots = NODES.map(({ address }) => ({ address, limit: address === first ? "refuses" : "none" }));
    explain(timeline, { slots } as unknown as Parameters<typeof explain>[1], ["a"]);
    expect(causes(timeline, "a", moving)).toEqual(["unstorable"]);
    expect(ownerOf(staying)).toBe(second);
    expect(causes(timeline, "a", staying)).toEqual([]);
  });

  test("of a server that refuses values may be behind a set that was not answered", () => {
    const timeline = new Timeline();
    timeline.saw("a", { at: 0, document: document(1) });
    timeline.refusing.add(first);
    const refusals = (key: string, more: Partial<Operation>) =>
      timeline.refusalsOf("a", namespaceOf("a").keyPrefix + key, [{ ...SET, ...more }]).map(({ cause }) => cause);
    expect(refusals(keyOn(first), { outcome: "io" })).toEqual(["unstorable"]);
    expect(refusals(keyOn(first), { outcome: "ok" })).toEqual([]);
    expect(refusals(keyOn(first), { outcome: "io", verb: "delete" })).toEqual([]);
    expect(refusals(keyOn(second), { outcome: "io" })).toEqual([]);
  });

  test("while Redis may have forgotten a change: servers that lost their fences lose their keys, and no others", () => {
    const timeline = new Timeline();
    timeline.saw("a", { at: 0, document: document(1) });
    timeline.incidents.push(killed);
    explain(timeline, { slots: [] }, ["a"]);
    expect(causes(timeline, "a", keyOn(first))).toEqual(["killed"]);
    timeline.unconfirmed.push({ ring: "a", from: 12_000, to: 20_000 });
    explain(timeline, { slots: [] }, ["a"]);
    expect(causes(timeline, "a", keyOn(first))).toEqual(["killed", "recovered"]);
    expect(causes(timeline, "a", keyOn(second))).toEqual([]);
  });
});
