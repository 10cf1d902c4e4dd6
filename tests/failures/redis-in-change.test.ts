/** Rows of the failure table: Redis comes back as another one at a moment of a change when its publications are refused. The change waits. */
import { describe, expect, test } from "vitest";
import { openManaged } from "../../src/client/session.ts";
import { abortChange } from "../../src/migration/abort.ts";
import { Coordinator } from "../../src/migration/coordinator.ts";
import type { OnProgress } from "../../src/migration/progress.ts";
import { sweep } from "../../src/migration/sweep.ts";
import type { TopologyDocument } from "../../src/topology/document.ts";
import { Lease } from "../../src/topology/lease.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { type Bench, bench, Died, dieAt, onEnd } from "./support.ts";

/** Redis keeps everything over a restart, and whoever changes the cluster has the patience for it. */
async function scene() {
  const b = await bench({ redis: { appendOnly: true, args: ["--appendfsync", "always"] } });
  await b.fill(300);
  const open = await openManaged({
    redis: b.cluster.redis.url,
    namespace: namespaceOf(undefined),
    caretaker: true,
    redisTimeoutMs: 60_000,
    ioTimeoutMs: 3_000,
  });
  onEnd(() => open.close());
  const change = { kind: "add-node", nodes: [{ address: (await b.cluster.addMemcached()).address }] } as const;
  return { b, session: open.session, store: open.store!, change };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Restarts Redis before the first publication of these; answers how many were refused for that. */
function restartBefore({ b, store }: Scene, which: (next: TopologyDocument) => boolean): () => number {
  let restart: Promise<void> | undefined;
  let refused = 0;
  const publish = store.publish.bind(store);
  store.publish = async (found, next, runId) => {
    if (!which(next)) return publish(found, next, runId);
    restart ??= b.cluster.redis.restart();
    await restart;
    const outcome = await publish(found, next, runId);
    if (outcome === "failover") refused++;
    return outcome;
  };
  return () => refused;
}

async function allIsWell(b: Bench): Promise<void> {
  expect(await b.admin.topology()).toMatchObject({ phase: "S", settling: false });
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size });
}

test.each(["D", "S"] as const)(
  "Redis fails over right before %s is published: the change waits, and is carried on",
  async (phase) => {
    const it = await scene();
    const refused = restartBefore(it, (next) => next.phase === phase && next.operation !== null);
    await new Coordinator(it.session, it.store, {}).run(it.change);
    expect(refused()).toBeLessThanOrEqual(1);
    await allIsWell(it.b);
  },
);

test("Redis fails over right before F is taken back: the abort waits, and asks no more of Redis meanwhile", async () => {
  const it = await scene();
  const { session, store, change } = it;
  await expect(new Coordinator(session, store, { onProgress: dieAt("fencing") }).run(change)).rejects.toThrow(Died);
  const refused = restartBefore(it, (next) => next.phase === "S" && next.migrations === 0);
  const report = await abortChange(session, store, {}, (work) => work());
  expect(report.outcome).toBe("reversed"); // D may have been published and forgotten
  expect(refused()).toBeLessThanOrEqual(1);
  await allIsWell(it.b);
});

describe("Redis fails over while a client has something of an older epoch under way", () => {
  /** The client acknowledges when the work has said that it waits for Redis; answers whether that was before its cleaning. */
  async function straggle({ b, store }: Scene, work: (report: OnProgress) => Promise<unknown>) {
    const lease = await Lease.take(store, () => {}); // nobody else ends the settling
    onEnd(() => lease.release());
    let late = true;
    const unacknowledged = store.unacknowledged.bind(store);
    store.unacknowledged = async (epoch) => [...(await unacknowledged(epoch)), ...(late ? ["straggler"] : [])];
    let restart: Promise<void> | undefined;
    let endedBefore: boolean | undefined;
    await work(({ step }) => {
      if (step === "settling") restart ??= b.cluster.redis.restart();
      if (step === "waiting" && restart !== undefined) late = false;
      if (step === "cleaning") endedBefore = !late;
    });
    await restart;
    return endedBefore;
  }

  test("a change: nothing is cleaned before a straggler has ended", async () => {
    const it = await scene();
    const { session, store, change } = it;
    const run = (onProgress: OnProgress) => new Coordinator(session, store, { onProgress }).run(change);
    expect(await straggle(it, run)).toBe(true);
    await allIsWell(it.b);
  });

  test("a sweep: nothing is cleaned before a straggler has ended", async () => {
    const it = await scene();
    expect(await straggle(it, (report) => sweep(it.session, it.store, report))).toBe(true);
    await allIsWell(it.b);
  });
});
