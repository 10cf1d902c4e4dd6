/**
 * Rule F, arm (docs/protocol.md): from F to D.
 *
 * The coordinator has published F. Clients hold writes on moving keys and acknowledge when theirs have drained. Then the fences of
 * *all* losing and gaining servers are raised by CAS, and D is published at once. Any client that has waited for D carries on here in a
 * dead coordinator's place: every step can be done by several processes at once.
 *
 *   F, ring changes            raise losing and gaining servers ── D
 *   F, source declared dead    raise gaining servers ── all clients know ── S (there is nothing to copy from), or D (living nodes' arcs change too)
 *   F, same ring (refence)     raise the servers with F's number ── S
 */
import { isRingshiftError } from "../errors.ts";
import { classicCas, metaGet } from "../memcached/commands.ts";
import { formatFence, parseFence } from "../memcached/fence.ts";
import { ExchangeError } from "../memcached/transport.ts";
import {
  allNodes,
  highestFence,
  isDead,
  type NodeRecord,
  newFenceNumber,
  successor,
  type TopologyDocument,
} from "../topology/document.ts";
import { plant } from "./plant.ts";
import type { Session } from "./session.ts";
import type { View } from "./view.ts";

/** A client that has waited this long for D carries on in the coordinator's place. */
export const CARRY_ON_MS = 500;
/** Coordinator: how long the other clients get to drain their writes on moving keys. For ambiguity only, not for safety. */
const GRACE_MS = 100;
const POLL_MS = 5;
/** A losing or gaining server that does not answer for this long: back to S with the old nodes. */
const SERVER_PATIENCE_MS = 2_000;
const RAISE_TRIES = 20;

/** `armed`: D (or S, see above) is published. `waiting`: the fences stand, not every client knows yet. `aborted`: S with the old nodes is. `elsewhere`: the document is another one by now. */
export type Armed = "armed" | "waiting" | "aborted" | "elsewhere";

/**
 * Raises the fences and publishes what follows, given a view in F.
 * @param overdue the hold-off is over: clients that have not acknowledged a dead server are waited for no longer
 * @throws RingshiftError REDIS_UNREACHABLE
 */
export async function arm(session: Session, view: View, overdue = false): Promise<Armed> {
  const { document } = view;
  if (document.phase !== "F" || !view.confirmed) return "elsewhere";
  const refenced = refencedBy(view);
  const nodes = refenced.length > 0 ? refenced : involved(view);
  const deadline = session.clock.now() + SERVER_PATIENCE_MS;
  for (const step of [answers, raiseFence]) {
    const outcomes = await Promise.all(nodes.map((node) => patiently(session, document, node, step, deadline)));
    if (outcomes.includes("elsewhere")) return "elsewhere";
    if (outcomes.includes("silent")) return abort(session, view);
  }
  if (refenced.length > 0) {
    return publish(session, view, successor(document, document.runId, { phase: "S", settling: true }), "armed");
  }
  if (document.dead?.length && changesDeadAlone(view)) {
    if (!overdue && (await session.store.unacknowledged(document.epoch)).length > 0) return "waiting";
    const migrations = document.migrations + 1;
    const next = successor(document, document.runId, { phase: "S", settling: true, migrations, dead: [] });
    return publish(session, view, next, "armed");
  }
  return publish(session, view, successor(document, document.runId, { phase: "D" }), "armed");
}

type Step = (session: Session, node: NodeRecord, number: number) => Promise<boolean>;

/**
 * Before any fence is raised: behind a raised one reads of moving keys do not count until D is published, so a server that is silent must not be
 * waited for with the fences of others raised. @throws ExchangeError
 */
async function answers({ transport, namespace }: Session, node: NodeRecord): Promise<boolean> {
  await transport.exchange(node, [metaGet(namespace.fenceKey, "v")]);
  return true;
}

/** All servers take a step at once, so that each has the whole of SERVER_PATIENCE_MS, and all together no more. @throws RingshiftError REDIS_UNREACHABLE */
async function patiently(
  session: Session,
  document: TopologyDocument,
  node: NodeRecord,
  step: Step,
  deadline: number,
): Promise<"done" | "silent" | "elsewhere"> {
  for (;;) {
    if (await step(session, node, document.fences[node.name]!).catch(unreachable)) return "done";
    if (session.clock.now() > deadline) return "silent";
    await session.clock.sleep(POLL_MS);
    if ((await session.look()).document.id !== document.id) return "elsewhere";
  }
}

/**
 * Nothing changes but what the dead servers had. In the compat rings a node's points go by the weights of all, so living nodes' arcs get other
 * owners or points as well: what they hold has to be copied, or listed anew.
 */
function changesDeadAlone({ document, diff }: View): boolean {
  return diff!.arcs.every((arc) => isDead(document, arc.fromNode));
}

/** F, step 3: until every registered client has drained, for GRACE_MS at most. */
export async function waitForDrain(session: Session, epoch: number): Promise<void> {
  const deadline = session.clock.now() + GRACE_MS;
  while (session.clock.now() < deadline) {
    if ((await session.store.unacknowledged(epoch)).length === 0) return;
    await session.clock.sleep(POLL_MS);
  }
}

/**
 * F taken back: S with the old nodes. Refused when Redis has failed over since F was published. The servers of F get new numbers: were they F's,
 * and Redis forgot this S, a client that knows it and is cut off from Redis would go on by it under the D that F came to after all.
 */
export async function abort(session: Session, view: View): Promise<Armed> {
  const { document } = view;
  if (document.recovered) return "elsewhere"; // D may have been published and forgotten
  const [raised, number] = [highestFence(document), newFenceNumber(document, session.clock.random())];
  const fences = { ...document.fences };
  for (const name of Object.keys(fences)) if (fences[name] === raised) fences[name] = number;
  const next = successor(document, document.runId, {
    phase: "S",
    nodes: document.previousNodes!,
    previousNodes: document.nodes,
    fences,
    settling: true,
    operation: null,
    dead: [],
  });
  const outcome = await publish(session, view, next, "aborted");
  if (outcome === "aborted") await raiseAtOnce(session, next, number);
  return outcome;
}

/** Those that do not answer are raised by whoever meets them. */
async function raiseAtOnce(session: Session, document: TopologyDocument, number: number): Promise<void> {
  const raised = allNodes(document).filter(({ name }) => document.fences[name] === number);
  await Promise.all(raised.map((node) => raiseFence(session, node, number).catch(unreachable)));
}

/** The servers that lose or gain arcs, but for dead ones: those whose fences F has given a new number. */
export function involved(view: View): NodeRecord[] {
  const names = new Set((view.diff?.arcs ?? []).flatMap((arc) => (arc.moves ? [arc.fromNode, arc.toNode] : [])));
  return allNodes(view.document).filter((node) => names.has(node.name) && !isDead(view.document, node.name));
}

/** The servers of an F that changes no ring but gives fences a new number (refence.ts); none for a change of the ring. */
function refencedBy({ diff, document }: View): NodeRecord[] {
  if (diff === undefined || diff.arcs.length > 0) return [];
  return document.nodes.filter((node) => document.fences[node.name] === highestFence(document));
}

/** Raises the fence of a server to `number`, keeping its incarnation and its ` u`. True when it stands there. @throws ExchangeError */
export async function raiseFence(session: Session, node: NodeRecord, number: number): Promise<boolean> {
  const { transport, namespace } = session;
  for (let i = 0; i < RAISE_TRIES; i++) {
    const found = await transport.exchange(node, [metaGet(namespace.fenceKey, "v c")]);
    const reply = found.replies[0]!;
    const fence = reply.value && parseFence(reply.value.toString("latin1"));
    if (fence?.number === undefined) {
      await plant(session, node);
      continue;
    }
    if (fence.number >= number) return fence.number === number;
    const text = Buffer.from(formatFence(number, fence.incarnation, fence.unindexed), "latin1");
    const raise = classicCas(namespace.fenceKey, 0, 0, reply.cas!, text);
    const raised = await transport.exchange(node, [raise], found.connection);
    if (raised.replies[0]!.status === "STORED") return true;
  }
  return false;
}

function unreachable(error: unknown): boolean {
  if (error instanceof ExchangeError || isRingshiftError(error, "REDIS_UNREACHABLE")) return false;
  throw error;
}

/** By compare-and-set, and only under the run id that the document was published under. */
async function publish<T extends Armed>(session: Session, view: View, next: TopologyDocument, done: T) {
  const outcome = await session.store.publish(view.document.id, next, view.document.runId);
  await session.look();
  return outcome === "published" ? done : "elsewhere";
}
