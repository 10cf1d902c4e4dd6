/** Rule P for many keys at once (pull-many.ts) against the plain rule (pull.ts): the same keys in every state, one half by each way. */
import { expect, test } from "vitest";
import type { Change } from "../../src/index.ts";
import { classicAdd, classicSet, PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import type { Command, Exchanged } from "../../src/memcached/exchange.ts";
import { pull } from "../../src/protocol/pull.ts";
import { pullMany } from "../../src/protocol/pull-many.ts";
import type { Route, View } from "../../src/protocol/view.ts";
import { bench, Died, dieAt } from "../failures/support.ts";

/** Seconds that a test's placeholder stands. */
const PLACEHOLDER_TTL = 60;
const text = (value: string) => Buffer.from(value, "latin1");

interface State {
  readonly atSource?: (key: string) => Command;
  readonly atTarget?: (key: string) => Command;
  /** What the batch leaves to the plain rule. */
  readonly left: boolean;
}

const STATES: Readonly<Record<string, State>> = {
  "a value": { atSource: (key) => classicSet(key, 0, 0, text("old")), left: false },
  "a value with flags and a TTL": { atSource: (key) => classicSet(key, 77, 500, text("old")), left: false },
  "an empty value": { atSource: (key) => classicSet(key, 0, 0, text("")), left: false },
  "a value of many bytes": { atSource: (key) => classicSet(key, 0, 0, Buffer.alloc(100_000, "x")), left: false },
  nothing: { left: false },
  "a placeholder at the old owner": {
    atSource: (key) => classicAdd(key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL, text("")),
    left: true,
  },
  "a lease at the old owner": {
    atSource: (key) => classicAdd(key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL, text("lease 0 0123456789abcdef")),
    left: true,
  },
  "a value at both": {
    atSource: (key) => classicSet(key, 0, 0, text("old")),
    atTarget: (key) => classicSet(key, 0, 0, text("new")),
    left: true,
  },
  "a value at the new owner": { atTarget: (key) => classicSet(key, 0, 0, text("new")), left: true },
  "somebody's placeholder at the new owner": {
    atSource: (key) => classicSet(key, 0, 0, text("old")),
    atTarget: (key) => classicAdd(key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL, text("")),
    left: true,
  },
  "a lease at the new owner": {
    atSource: (key) => classicSet(key, 0, 0, text("old")),
    atTarget: (key) => classicAdd(key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL, text("lease 1 nobody")),
    left: true,
  },
};
/** More than fit one exchange, so that a step takes several. */
const KEYS_OF_A_STATE = 14;

/** A cluster in D that no copier works on; keys of one pair of servers that no set lists. */
async function inDual() {
  const b = await bench();
  const server = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address: server.address }] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copying") })).rejects.toThrow(Died);
  const { session, store } = await b.session();
  const { view } = session;
  const first = routes(view, 1, () => true)[0]!;
  const pair = (count: number, from: number) => routes(view, count, (route) => isSamePair(route, first), from);
  return { session, store: store!, view, source: first.source!, target: first.node, pair };
}

function isSamePair(route: Route, { source, node }: Route): boolean {
  return route.source!.index === source!.index && route.node.index === node.index;
}

function routes(view: View, count: number, fits: (route: Route) => boolean, from = 0): Route[] {
  const found: Route[] = [];
  for (let i = from; found.length < count; i++) {
    const route = view.route(`many:${i}`);
    if (route.kind === "dual" && fits(route)) found.push(route);
  }
  return found;
}

test("leaves the servers and the index as the plain rule does, whatever stands where", async () => {
  const { session, store, view, source, target, pair } = await inDual();
  const names = Object.keys(STATES);
  const all = pair(2 * names.length * KEYS_OF_A_STATE, 0);
  const stateOf = (i: number) => names[(i >> 1) % names.length]!;
  for (const [i, { key }] of all.entries()) {
    const { atSource, atTarget } = STATES[stateOf(i)]!;
    if (atSource !== undefined) await session.transport.exchange(source, [atSource(key)]);
    if (atTarget !== undefined) await session.transport.exchange(target, [atTarget(key)]);
  }
  const [many, plain] = [all.filter((_, i) => i % 2 === 0), all.filter((_, i) => i % 2 === 1)];
  const options = { unstorable: "stop" } as const;
  const { moved, left } = await pullMany(session, view, source, target, many);
  const expectedLeft = many.filter((_, i) => STATES[stateOf(2 * i)]!.left);
  expect(new Set(left)).toStrictEqual(new Set(expectedLeft));
  const others = await pull(session, view, source, target, left, options);
  const results = await pull(session, view, source, target, plain, options);
  const byMany = new Map([
    ...moved.map((route) => [route, "moved"] as const),
    ...left.map((r, i) => [r, others[i]!] as const),
  ]);

  const shown = async (route: Route) => {
    const look = (node: typeof source) => session.transport.exchange(node, [{ line: `mg ${route.key} v t f` }]);
    const item = ({ replies: [reply] }: Exchanged) => [reply!.status, reply!.value?.toString("latin1"), reply!.flags];
    const [before, after] = [await look(source), await look(target)];
    const lives = (after.replies[0]!.ttl ?? -1) > 0;
    return { before: item(before), after: item(after), lives, listed: await listed(store, view, route) };
  };
  for (let i = 0; i < plain.length; i++) {
    const state = stateOf(2 * i);
    expect(byMany.get(many[i]!) ?? "absent", state).toBe(results[i]);
    const left = await shown(many[i]!);
    expect(left, state).toStrictEqual(await shown(plain[i]!));
    expect(left.before[0], `${state}: what is left at the old owner`).toBe("EN");
  }
}, 60_000);

async function listed(
  store: { listed(entries: readonly { generation: number; point: number; key: string }[]): Promise<boolean[]> },
  view: View,
  { key, point }: Route,
) {
  return (await store.listed([{ generation: view.document.generation, point, key }]))[0]!;
}

test("a value that has another CAS by the time it is deleted at its old owner is left, and deleted by the plain rule", async () => {
  const { session, view, source, target, pair } = await inDual();
  const keys = pair(3, 0);
  for (const { key } of keys) await session.transport.exchange(source, [classicSet(key, 0, 0, text("old"))]);
  const { exchange } = session.transport;
  session.transport.exchange = async (node, commands, ...others) => {
    const [first] = commands;
    if (first!.line.startsWith("md ") && node.name === source.name) {
      await exchange.call(session.transport, source, [classicSet(keys[1]!.key, 0, 0, text("a straggler's"))]);
    }
    return exchange.call(session.transport, node, commands, ...others);
  };
  const { moved, left } = await pullMany(session, view, source, target, keys);
  session.transport.exchange = exchange;
  expect(moved).toStrictEqual(keys);
  expect(left).toStrictEqual([keys[1]]);
  expect(await pull(session, view, source, target, left, { unstorable: "stop" })).toStrictEqual(["present"]);
  for (const { key } of keys) {
    const { replies } = await session.transport.exchange(source, [{ line: `mg ${key}` }]);
    expect(replies[0]!.status).toBe("EN");
  }
});
