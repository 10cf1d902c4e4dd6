/** Which change the admin port shows. The parts are made up. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { type AdminParts, StateReader } from "../../src/gateway/admin/parts.ts";
import type { Running } from "../../src/gateway/changes.ts";
import type { UnderWay } from "../../src/migration/under-way.ts";
import type { TopologyDocument } from "../../src/topology/document.ts";
import { STABLE } from "../support/documents.ts";

const standing: UnderWay = {
  command: "add-node c:1",
  startedAt: new Date().toISOString(),
  state: "copying",
  moved: 3,
  setsDone: 1,
  sets: 9,
  coordinator: { host: "elsewhere", pid: 7 },
};
const waiting: Running = {
  command: "remove-node a:1",
  origin: "config",
  startedAt: new Date().toISOString(),
  coordinates: false,
  moved: 0,
};
const { command, startedAt } = standing;
const moving: TopologyDocument = {
  ...STABLE,
  phase: "D",
  previousNodes: STABLE.nodes,
  operation: { id: "o", command, startedAt },
};

async function shown(
  document: TopologyDocument,
  underWay: () => Promise<UnderWay | undefined>,
  { running, coordinated }: { running?: Running; coordinated?: Running } = {},
) {
  const parts = {
    namespace: "default",
    admin: { underWay },
    cache: () => ({ session: { view: { document, confirmed: true } } }),
    changes: { running, coordinated },
    watch: { nodes: [] },
    counter: { counts: new Map() },
    traffic: { totals: {} },
    observing: () => false,
  };
  return (await new StateReader(parts as unknown as AdminParts).read()).migration;
}
const away = () => Promise.reject(new RingshiftError("REDIS_UNREACHABLE", "Redis is away"));

test("the change under way, also while one of this gateway waits for its end", async () => {
  expect(await shown(moving, async () => standing, { running: waiting })).toMatchObject(standing);
});

test("the one of this gateway where none stands, or none any more", async () => {
  const preparing = { command: waiting.command, state: "preparing" };
  expect(await shown(STABLE, away, { running: waiting })).toMatchObject(preparing);
  expect(await shown(moving, async () => undefined, { running: waiting })).toMatchObject(preparing);
  expect(await shown(STABLE, away)).toBeNull();
});

test("without Redis the one that this gateway coordinates, none that only waits", async () => {
  const coordinated = { ...waiting, command, coordinates: true };
  expect(await shown(moving, away, { running: coordinated, coordinated })).toMatchObject({ command });
  expect(await shown(moving, away, { running: waiting })).toBeNull();
});
