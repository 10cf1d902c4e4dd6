/** Every kind of change on a cluster at rest: what it moves, what it leaves alone, and what it reads. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Admin, Change, Client, Plan } from "../../src/index.ts";
import { createClient, diffRings, openAdmin } from "../../src/index.ts";
import { audit, ringOfDocument } from "../support/audit.ts";
import { type TestCluster, until, useBench } from "../support/bench.ts";
import { differences, fill, giveForeignFlags, type Held, holdings } from "../support/contents.ts";
import { watch } from "../support/monitor.ts";

const KEYS = 1_500;
const bench = useBench({ memcached: 6 });

let cluster: TestCluster;
let client: Client;
let admin: Admin;
let keys: string[];
let before: Map<string, Held>;

beforeAll(async () => {
  cluster = bench.cluster(3);
  client = await createClient(cluster.where);
  admin = await openAdmin(cluster.where);
  keys = await fill(client, KEYS);
  await giveForeignFlags(cluster, client, keys.slice(0, 60));
  before = await holdings(cluster, client, keys);
  return async () => {
    await admin.close();
    await client.quit();
  };
});

const server = (i: number) => bench.local.servers[i]!;

/** The changes run one after the other on the same cluster; weights and points are those after the change. */
const CHANGES: readonly { title: string; change: () => Change; points?: () => Record<string, number> }[] = [
  { title: "add a node", change: () => ({ kind: "add-node", nodes: [{ address: server(3) }] }) },
  {
    title: "add two nodes at once, one under a name and with a weight",
    change: () => ({
      kind: "add-node",
      nodes: [{ address: server(4), name: "cache-five", weight: 2 }, { address: server(5) }],
    }),
    points: () => ({ "cache-five": 320 }),
  },
  {
    title: "set a weight",
    change: () => ({ kind: "set-weight", name: "cache-five", weight: 0.5 }),
    points: () => ({ "cache-five": 80 }),
  },
  {
    title: "set vnodes 40 to 80",
    change: () => ({ kind: "set-vnodes", name: server(0), vnodes: 80 }),
    points: () => ({ [server(0)]: 320 }),
  },
  {
    title: "set vnodes 80 to 400",
    change: () => ({ kind: "set-vnodes", name: server(0), vnodes: 400 }),
    points: () => ({ [server(0)]: 1_600 }),
  },
  {
    title: "set vnodes 400 to 40",
    change: () => ({ kind: "set-vnodes", name: server(0), vnodes: 40 }),
    points: () => ({ [server(0)]: 160 }),
  },
  { title: "remove a node", change: () => ({ kind: "remove-node", names: [server(1)] }) },
  { title: "add a node that was removed", change: () => ({ kind: "add-node", nodes: [{ address: server(1) }] }) },
  {
    title: "remove two nodes at once",
    change: () => ({ kind: "remove-node", names: ["cache-five", server(3)] }),
  },
  { title: "remove all but one", change: () => ({ kind: "remove-node", names: [server(0), server(1), server(5)] }) },
];

describe.each(CHANGES.map((one) => [one.title, one] as const))("%s", (_, { change, points }) => {
  let plan: Plan;
  let affected: Set<number>;

  test("the plan changes nothing, and reads the sets of the affected points only", async () => {
    const text = await cluster.documentText();
    const ringBefore = ringOfDocument(JSON.parse(text!));
    const watched = await watch(cluster, () => admin.plan(change()));
    plan = watched.result;
    expect(watched.written).toStrictEqual(new Set());
    expect(await cluster.documentText()).toBe(text);
    const ringAfter = ringOfDocument({ ...JSON.parse(text!), nodes: plan.nodes });
    const diff = diffRings(ringBefore, ringAfter);
    affected = new Set(diff.arcs.map((arc) => arc.fromPoint));
    expect(watched.read).toStrictEqual(affected);
    expect(plan.setsRead).toBe(affected.size);
    expect(plan.setsTotal).toBe(ringBefore.size);
    expect(plan.ringShare).toBeCloseTo(diff.movedShare, 12);
    expect(plan.keys).toBeGreaterThan(0);
    expect(plan.keys).toBe(plan.moves.reduce((sum, move) => sum + move.keys, 0));
  });

  test("the change moves what the plan says, reads no other sets, and loses nothing", async () => {
    const { nodes: nodesBefore } = await admin.topology();
    const { result: report, read } = await watch(cluster, () => admin.apply(change()));
    expect(report).toMatchObject({ moved: plan.keys, keysSeen: plan.keys, setsRead: plan.setsRead, resumed: false });
    expect(report.ringShare).toBe(plan.ringShare);
    expect(read).toStrictEqual(affected);

    const { faults, count, keys: byServer, document } = await audit(cluster);
    expect(faults).toStrictEqual([]);
    expect(count).toBe(KEYS);
    expect(document.nodes).toStrictEqual(plan.nodes);
    for (const [name, size] of Object.entries(points?.() ?? {})) {
      expect(ringOfDocument(document).getPoints(name).length).toBe(size);
    }

    await until("the client has the new topology", () => client.topology().epoch === document.epoch);
    const after = await holdings(cluster, client, keys);
    expect(differences(before, after)).toStrictEqual([]);
    const address = (name: string) => [...document.nodes, ...nodesBefore].find((node) => node.name === name)!.address;
    for (const { from, to, keys: planned } of plan.moves) {
      const [was, is] = [address(from), address(to)];
      const moved = keys.filter((key) => before.get(key)!.address === was && after.get(key)!.address === is);
      expect(moved.length).toBe(planned);
    }
    for (const [server, live] of byServer) {
      if (!document.nodes.some((node) => node.address === server)) expect(live.size).toBe(0);
    }
    before = after;
  });
});
