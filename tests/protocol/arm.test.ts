/** From F on: how long the servers get to take their fences' new number. Time is the test's own. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import type { Command } from "../../src/memcached/exchange.ts";
import { ExchangeError } from "../../src/memcached/transport.ts";
import { arm } from "../../src/protocol/arm.ts";
import type { Session } from "../../src/protocol/session.ts";
import { View } from "../../src/protocol/view.ts";
import type { NodeRecord, TopologyDocument } from "../../src/topology/document.ts";
import { STABLE } from "../support/documents.ts";

/** Time that stands still until everything that is awaited is a sleep. */
class Timers {
  #now = 0;
  #sleeping: { readonly until: number; readonly wake: () => void }[] = [];

  now = () => this.#now;
  sleep = (ms: number) => new Promise<void>((wake) => this.#sleeping.push({ until: this.#now + ms, wake }));

  async run<T>(work: Promise<T>): Promise<T> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    work.then(end, end);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (ended) return work;
      this.#sleeping.sort((a, b) => a.until - b.until);
      const { until, wake } = this.#sleeping.shift()!;
      this.#now = until;
      wake();
    }
  }
}

const ROUND_TRIP_MS = 30;

/** An F that adds the last of 41 servers; answers what came of it, what was published and how long it took. */
async function armed(fails: (node: NodeRecord, exchanges: number) => boolean) {
  const nodes = Array.from({ length: 41 }, (_, index) => ({ index, name: `n${index}`, address: `10.0.0.${index}:1` }));
  const fences = Object.fromEntries(nodes.map(({ name }) => [name, 100]));
  const document: TopologyDocument = { ...STABLE, phase: "F", nodes, previousNodes: nodes.slice(0, 40), fences };
  const view = new View(document, document.runId, 0);
  const timers = new Timers();
  const published: TopologyDocument[] = [];
  const exchanges = new Map<string, number>();
  const raised: string[] = [];
  let raisedBefore: number | undefined; // what is published first
  const session = {
    namespace: { fenceKey: "fence" },
    clock: { now: timers.now, sleep: timers.sleep, random: () => 0.5 },
    look: async () => view,
    store: {
      publish: async (_: string, next: TopologyDocument) => {
        raisedBefore ??= raised.length;
        return published.push(next) && "published";
      },
    },
    transport: {
      exchange: async (node: NodeRecord, [command]: readonly [Command]) => {
        const count = (exchanges.get(node.name) ?? 0) + 1;
        exchanges.set(node.name, count);
        await timers.sleep(ROUND_TRIP_MS);
        if (fails(node, count)) throw new ExchangeError(new RingshiftError("NODE_DOWN", "connection reset"), true);
        if (!command.line.startsWith("mg")) raised.push(node.name);
        const value = Buffer.from(`7 ${"a".repeat(16)}`);
        const reply = command.line.startsWith("mg") ? { status: "VA", cas: "1", value } : { status: "STORED" };
        return { replies: [reply], connection: {} };
      },
    },
  };
  const outcome = await timers.run(arm(session as unknown as Session, view));
  return { outcome, published, raisedBefore, tookMs: timers.now() };
}

test("one exchange that fails does not take the change back, however many servers there are", async () => {
  const { outcome, published } = await armed((node, count) => node.name === "n40" && count === 1);
  expect(outcome).toBe("armed");
  expect(published.map(({ phase }) => phase)).toEqual(["D"]);
});

test("servers that are silent together take the change back after the patience for one", async () => {
  const { outcome, published, tookMs } = await armed((node) => node.index % 2 === 0);
  expect(outcome).toBe("aborted");
  expect(published).toMatchObject([{ phase: "S", nodes: { length: 40 } }]);
  expect(tookMs).toBeLessThan(2_000 + 10 * ROUND_TRIP_MS);
});

test("no fence is raised before every server has answered: reads of moving keys go on behind the others", async () => {
  const { outcome, raisedBefore } = await armed((node) => node.name === "n17");
  expect(outcome).toBe("aborted");
  expect(raisedBefore).toBe(0);
});
