/** `migration abort` among other operators' changes, slow clients, dead servers and a pause. */
import { expect, test } from "vitest";
import { abortChange } from "../../src/migration/abort.ts";
import type { Change } from "../../src/migration/change.ts";
import { unpause } from "../../src/migration/control.ts";
import { Coordinator } from "../../src/migration/coordinator.ts";
import type { OnProgress } from "../../src/migration/progress.ts";
import { type Bench, bench, Died, dieAt, until } from "./support.ts";

/** A change that has died in D, and a session to abort it with. */
async function interrupted(b: Bench) {
  const joining = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address: joining.address }] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 20) })).rejects.toThrow(Died);
  const { session, store } = await b.session();
  const run = (other: Change, onProgress?: OnProgress) =>
    new Coordinator(session, store!, { onProgress }).run(other).catch((error: unknown) => {
      if (!(error instanceof Died)) throw error;
    });
  /** @param meanwhile what happens while the abort waits for the lease */
  const abort = (meanwhile: () => Promise<unknown>, onProgress?: OnProgress) =>
    abortChange(session, store!, { onProgress }, async (work) => {
      await meanwhile();
      return work();
    });
  return { change, run, abort, store: store! };
}

/** The process of an abort ends on its way back. */
function diesGoingBack(): OnProgress {
  let ways = 0;
  return (progress) => {
    if (progress.step === "copying") ways++;
    if (ways === 2 && progress.step === "copied") throw new Died("on the way back");
  };
}

const names = async (b: Bench) => (await b.admin.topology()).nodes.map(({ name }) => name).sort();
const OVERTAKEN = (command: string) => ({
  code: "MIGRATION_STOPPED",
  message: expect.stringContaining(`another one (${command}) has come after it`),
});

test("an abort that another change has overtaken while it waited says so, and takes nothing back", async () => {
  const b = await bench();
  await b.fill(600);
  const [first] = b.servers;
  const { change, run, abort } = await interrupted(b);
  const other: Change = { kind: "set-weight", name: first!.address, weight: 2 };
  const meanwhile = async () => {
    await run(change); // its own coordinator, past its last batch, ends it
    await run(other);
  };
  await expect(abort(meanwhile)).rejects.toMatchObject(OVERTAKEN(`set-weight ${first!.address} 2`));
  expect(await names(b)).toHaveLength(4);
  expect(await b.admin.abortPending()).toBe(false);
  expect(await b.wrong()).toEqual([]);
});

test("an abort does not carry on what another operator has begun while it waited", async () => {
  const b = await bench();
  await b.fill(600);
  const [first] = b.servers;
  const { change, run, abort } = await interrupted(b);
  const other: Change = { kind: "remove-node", names: [first!.address] };
  const meanwhile = async () => {
    await run(change);
    await run(other, dieAt("copied", 5));
  };
  await expect(abort(meanwhile)).rejects.toMatchObject(OVERTAKEN(`remove-node ${first!.address}`));
  expect(await b.admin.underWay()).toMatchObject({ command: `remove-node ${first!.address}`, aborting: false });
  await b.admin.apply(other);
  expect(await b.wrong()).toEqual([]);
});

test("an abort that another process has carried through meanwhile is done", async () => {
  const b = await bench();
  await b.fill(600);
  const before = await names(b);
  const { abort } = await interrupted(b);
  const operator = await b.operator();
  expect(await abort(() => operator.abort())).toEqual({ outcome: "reversed", dropped: 0 });
  expect(await names(b)).toEqual(before);
  expect(await b.wrong()).toEqual([]);
});

test.each(["no wish", "an earlier wish"])("an abort goes back to its end where Redis knows of %s", async (known) => {
  const b = await bench();
  await b.fill(600);
  const before = await names(b);
  const { abort, store } = await interrupted(b);
  await expect(abort(async () => {}, diesGoingBack())).rejects.toThrow(Died);
  const control = (await store.readControl())!;
  const earlier = { ...control, abort: { ...control.abort!, migrations: control.abort!.migrations - 2 } };
  await store.writeControl(known === "no wish" ? undefined : earlier); // after a fail-over
  expect(await b.admin.abort()).toMatchObject({ outcome: "reversed", change: { command: "migration abort" } });
  expect(await names(b)).toEqual(before);
  expect(await b.wrong()).toEqual([]);
});

test("migration pause on an abort's way back holds it up, and does not forget that it is an abort", async () => {
  const b = await bench();
  await b.fill(600);
  const before = await names(b);
  const { abort, store } = await interrupted(b);
  await expect(abort(async () => {}, diesGoingBack())).rejects.toThrow(Died);
  const wished = (await store.readControl())!.abort;
  expect(wished).toBeDefined();
  await b.admin.pause();
  expect(await store.readControl()).toMatchObject({ paused: true, abort: wished });
  expect(await b.admin.underWay()).toMatchObject({ command: "migration abort", paused: true });

  const steps: string[] = [];
  const carriedOn = b.admin.abort({ onProgress: ({ step }) => void steps.push(step) });
  await until(() => steps.includes("waiting") || steps.includes("done"));
  expect(steps).not.toContain("done");
  expect(await store.readControl()).toMatchObject({ paused: true, abort: wished });
  await unpause(store);
  expect(await store.readControl()).toMatchObject({ paused: false, abort: wished });
  expect(await carriedOn).toMatchObject({ outcome: "reversed", dropped: 0 });
  expect(await names(b)).toEqual(before);
  expect(await b.wrong()).toEqual([]);
});

test("a change whose old nodes are all dead is not aborted, and goes on", async () => {
  const b = await bench({ memcached: 1 });
  await b.fill(300);
  const [old] = b.servers;
  const joining = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address: joining.address }] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 20) })).rejects.toThrow(Died);
  await old!.kill();
  await expect(b.admin.abandon(old!.address, { onProgress: dieAt("copying") })).rejects.toThrow(Died);
  await expect(b.admin.abort()).rejects.toMatchObject({ code: "LAST_NODE" });
  expect(await b.admin.underWay()).toMatchObject({ state: "copying", aborting: false });
  expect(await b.admin.resume()).toMatchObject({ resumed: true });
  expect(await names(b)).toContain(joining.address);
});

test("a removal is taken back although a client is computing a value on the leaving server", async () => {
  const b = await bench();
  await b.fill(300);
  const before = await names(b);
  const leaving = b.servers[0]!.address;
  const key = Array.from({ length: 500 }, (_, i) => `new:${i}`).find((one) => b.client.locate(one).node === leaving)!;
  let loaded: ((value: string) => void) | undefined;
  const load = () =>
    new Promise<string>((resolve) => {
      loaded = resolve;
    });
  const value = b.client.getOrSet(key, 60, load);
  await until(() => loaded !== undefined);
  const change: Change = { kind: "remove-node", names: [leaving] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 20) })).rejects.toThrow(Died);
  expect(await b.admin.abort()).toMatchObject({ outcome: "reversed", dropped: 0 });
  loaded!("v");
  expect(await value).toBe("v");
  expect(await names(b)).toEqual(before);
  expect(await b.wrong()).toEqual([]);
});

test("close() ends a change that stands still by a pause", async () => {
  const b = await bench();
  await b.fill(2_000);
  const { address } = await b.cluster.addMemcached();
  const runner = await b.operator();
  const steps = new Set<string>();
  const onProgress: OnProgress = ({ step }) => void steps.add(step);
  const change: Change = { kind: "add-node", nodes: [{ address }] };
  const ended = expect(runner.apply(change, { rate: 200, onProgress })).rejects.toMatchObject({
    code: "MIGRATION_STOPPED",
  });
  await until(() => steps.has("copied"));
  await b.admin.pause();
  await until(() => steps.has("waiting"));
  await runner.close();
  await ended;
  await b.admin.resume();
  expect(await b.admin.apply(change)).toMatchObject({ resumed: true });
  expect(await b.wrong()).toEqual([]);
});
