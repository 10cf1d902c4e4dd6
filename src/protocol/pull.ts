/**
 * Rule P, pull (docs/protocol.md): the one way a key crosses from its old owner A to its new owner B, in phase D.
 *
 *        B                         A                       Redis
 *   1  add placeholder
 *      (nothing there? ours; somebody's? wait, then take over; a value, or a lease of this epoch? go to 5)
 *   2                          mg v t f c   ── a miss: delete our placeholder, done
 *   3                                                  key into the new point's set
 *   4  cas value on the placeholder's token
 *   5                          md C<cas>, until A answers miss
 *
 * A fence that is not the document's, or a broken connection, at any step aborts the pull: what it left behind expires or is taken
 * over. Written for many keys of one pair of servers at once, a round trip a step; a client's pull is the case of one key.
 */
import { classicAdd, classicCas, exptimeOf, metaDelete, metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import { MAX_EXCHANGE_BYTES, MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import type { NodeRecord } from "../topology/document.ts";
import { leaseEpoch } from "./lease.ts";
import { Retry, Unstorable } from "./outcome.ts";
import type { Session } from "./session.ts";
import { ask, requireFence } from "./validate.ts";
import type { View } from "./view.ts";

/** A placeholder outlives its puller by this long at most. */
const PLACEHOLDER_TTL_S = 3;
/** Somebody's placeholder that has stood this long with one CAS is taken over. */
const TAKE_OVER_MS = 50;
/** Between two looks at somebody's placeholder. */
const MIN_WAIT_MS = 1;
const MAX_WAIT_MS = 5;
const MAX_ROUNDS = 200;
const EMPTY = Buffer.alloc(0);

/** A key to pull, with the point whose set lists it at its new owner. */
export interface PullKey {
  readonly key: string;
  readonly hash: number;
  readonly point: number;
}

export interface PullOptions {
  /** A value that B cannot store: `drop` it, as Memcached drops what it cannot store, or `stop` with Unstorable. */
  readonly unstorable: "drop" | "stop";
}

/** `moved`: by this pull. `present`: B had a value already. `absent`: neither has one. `dropped`: B could not store it. */
export type PullResult = "moved" | "present" | "absent" | "dropped";

interface Job extends PullKey {
  /** CAS of the placeholder at B that this pull may replace, and the connection that gave it. */
  token: string | undefined;
  connection: ConnectionRef | undefined;
  /** Somebody's placeholder: its CAS, the connection that gave it, since when it stands, and whether it could be a lease (lease.ts). */
  foreign: { cas: string; connection: ConnectionRef; since: number; lease: boolean } | undefined;
  /** The value at A, and the connection that gave it. */
  copy: Reply | undefined;
  copyConnection: ConnectionRef | undefined;
  readAt: number;
  /** B has no memory even for a placeholder. */
  refused: boolean;
  result: PullResult | undefined;
}

/**
 * Pulls the keys from `source` to `target`; results in the order of `keys`.
 * @throws Retry when the pull was aborted; Unstorable with `unstorable: "stop"`
 */
export async function pull(
  session: Session,
  view: View,
  source: NodeRecord,
  target: NodeRecord,
  keys: readonly PullKey[],
  options: PullOptions,
): Promise<PullResult[]> {
  const jobs = keys.map((key): Job => {
    const { key: name, hash, point } = key;
    const none = {
      token: undefined,
      connection: undefined,
      foreign: undefined,
      copy: undefined,
      copyConnection: undefined,
    };
    return { key: name, hash, point, ...none, readAt: 0, refused: false, result: undefined };
  });
  let open = jobs;
  for (let round = 0; open.length > 0; round++) {
    if (round === MAX_ROUNDS) throw new Retry();
    try {
      await pullRound({ session, view, source, target, options }, open);
    } catch (error) {
      session.linger(view, (PLACEHOLDER_TTL_S + 1) * 1000); // placeholders of ours may stand
      throw error;
    }
    open = jobs.filter((job) => job.result === undefined);
    if (open.some((job) => job.foreign !== undefined)) {
      await session.clock.sleep(MIN_WAIT_MS + session.clock.random() * (MAX_WAIT_MS - MIN_WAIT_MS));
    }
  }
  session.counters.pulled += jobs.filter((job) => job.result === "moved").length;
  return jobs.map((job) => job.result!);
}

interface Crossing {
  readonly session: Session;
  readonly view: View;
  readonly source: NodeRecord;
  readonly target: NodeRecord;
  readonly options: PullOptions;
}

async function pullRound(crossing: Crossing, jobs: readonly Job[]): Promise<void> {
  const { session, view } = crossing;
  const present =
    view.confirmed && session.isFresh(view) ? await reserve(crossing, jobs) : await presentOnly(crossing, jobs);
  const reserved = jobs.filter((job) => job.token !== undefined);
  await readSource(crossing, reserved);
  const found = reserved.filter((job) => job.copy !== undefined);
  await giveBack(
    crossing,
    reserved.filter((job) => job.copy === undefined),
  );
  await record(crossing, found);
  await fill(crossing, found);
  const filled = found.filter((job) => job.result !== undefined);
  await kill(crossing, [...present, ...filled]);
  for (const job of present) job.result = "present";
  await dropRefused(
    crossing,
    jobs.filter((job) => job.refused),
  );
  const dropped = found.filter((job) => job.result === "dropped");
  crossing.session.counters.dropped += dropped.length;
  await giveBack(crossing, dropped, "dropped");
}

/** Step 1. Answers the jobs for which B has a value; the others have a token, or somebody's placeholder to wait for. */
async function reserve(crossing: Crossing, jobs: readonly Job[]): Promise<Job[]> {
  const { session } = crossing;
  const present: Job[] = [];
  const takeOver: ConnectionRef[] = [];
  const commands = jobs.map((job) => {
    job.token = job.copy = undefined;
    const look = metaGet(job.key, "f c s");
    const { foreign } = job;
    if (foreign?.lease) return [metaGet(job.key, "v f"), look];
    if (foreign === undefined || session.clock.now() - foreign.since < TAKE_OVER_MS) {
      return [classicAdd(job.key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL_S, EMPTY), look];
    }
    takeOver.push(foreign.connection);
    return [classicCas(job.key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL_S, foreign.cas, EMPTY), look];
  });
  const answer = (job: Job, [put, look]: readonly Reply[], connection: ConnectionRef) => {
    const refused = put!.status === "SERVER_ERROR" && (look!.cas === undefined || look!.flags === PLACEHOLDER_FLAGS);
    if (refused && crossing.options.unstorable === "stop") {
      throw new Unstorable(job.key, crossing.target.name, put!.message);
    }
    job.refused = refused;
    if (refused) return;
    if (job.foreign?.lease) {
      if (put!.flags === PLACEHOLDER_FLAGS && leaseEpoch(put!.value) === crossing.view.document.epoch) {
        job.foreign = undefined;
        present.push(job); // P had passed when it was put
        return;
      }
      job.foreign.lease = false;
    }
    if (look!.cas === undefined) {
      job.foreign = undefined; // gone again between the two: next round
    } else if (look!.flags !== PLACEHOLDER_FLAGS) {
      present.push(job);
    } else if (put!.status === "STORED") {
      job.token = look!.cas;
      job.connection = connection;
      job.foreign = undefined;
    } else if (job.foreign?.cas !== look!.cas) {
      job.foreign = { cas: look!.cas, connection, since: session.clock.now(), lease: (look!.size ?? 0) > 0 };
    }
  };
  await atTarget(crossing, jobs, commands, answer, sameConnection(takeOver));
  return present;
}

/**
 * Instead of all steps, where B cannot take even a placeholder: A's copies go first, so that whoever reads A later finds nothing, then the
 * placeholder of somebody who read A before. After both nobody can bring the value to B any more.
 */
async function dropRefused(crossing: Crossing, jobs: readonly Job[]): Promise<void> {
  if (jobs.length === 0) return;
  await readSource(crossing, jobs);
  await kill(crossing, jobs);
  const looks = jobs.map((job) => [metaGet(job.key, "f c")]);
  await atTarget(crossing, jobs, looks, (job, [look], connection) => {
    if (look!.cas === undefined) job.result = job.copy === undefined ? "absent" : "dropped";
    else if (look!.flags !== PLACEHOLDER_FLAGS) job.result = "present";
    else Object.assign(job, { token: look!.cas, connection });
  });
  for (const job of jobs) {
    if (job.result === undefined) await giveBack(crossing, [job], job.copy === undefined ? "absent" : "dropped");
    job.refused = false;
  }
  crossing.session.counters.dropped += jobs.filter((job) => job.result === "dropped").length;
}

/** Step 1 while the document is unconfirmed: no placeholder is put; values that have crossed already are accepted, all others wait. */
async function presentOnly(crossing: Crossing, jobs: readonly Job[]): Promise<Job[]> {
  const present: Job[] = [];
  const commands = jobs.map((job) => [metaGet(job.key, "f c")]);
  await atTarget(crossing, jobs, commands, (job, [look]) => {
    if (look!.cas !== undefined && look!.flags !== PLACEHOLDER_FLAGS) present.push(job);
  });
  if (present.length < jobs.length) throw new Retry();
  return present;
}

/** Step 2. A placeholder at A is a miss. */
async function readSource(crossing: Crossing, jobs: readonly Job[]): Promise<void> {
  const { session, view, source } = crossing;
  for (const part of parts(jobs, () => 1)) {
    const askedAt = session.clock.now();
    const result = await ask(
      session,
      view,
      source,
      part.map((job) => metaGet(job.key, "v t f c")),
    );
    await requireFence(session, view, source, result);
    part.forEach((job, i) => {
      const reply = result.replies[i]!;
      job.readAt = askedAt;
      job.copy = reply.status === "VA" && reply.flags !== PLACEHOLDER_FLAGS ? reply : undefined;
      job.copyConnection = result.connection;
    });
  }
}

/** The end of step 2 for a key that A has not: our placeholder goes, by its CAS. */
async function giveBack(crossing: Crossing, jobs: readonly Job[], result: PullResult = "absent"): Promise<void> {
  const commands = jobs.map((job) => [metaDelete(job.key, { cas: job.token! })]);
  await atTarget(
    crossing,
    jobs,
    commands,
    (job, [reply]) => {
      if (reply!.status === "HD") job.result = result;
    },
    sameConnection(jobs.map((job) => job.connection!)),
  );
}

/** Step 3: whoever pulls records, before the fill. */
async function record({ session, view }: Crossing, jobs: readonly Job[]): Promise<void> {
  const recordings = jobs.map((job) => session.recorder.record(session, view, job.key, job.hash, job.point));
  if ((await Promise.all(recordings)).includes("down")) throw new Retry();
}

/** Step 4. */
async function fill(crossing: Crossing, jobs: readonly Job[]): Promise<void> {
  const { session, options, target } = crossing;
  const expired: Job[] = [];
  const fits: Job[] = [];
  for (const job of jobs) (remainingTtl(session, job) === 0 ? expired : fits).push(job);
  await giveBack(crossing, expired);
  const commands = fits.map((job) => {
    const { flags, cas: _, value } = job.copy!;
    const ttl = remainingTtl(session, job);
    const exptime = ttl === undefined ? 0 : exptimeOf(ttl, session.clock.epochSeconds());
    return [classicCas(job.key, flags!, exptime, job.token!, value!)];
  });
  const answer = (job: Job, [reply]: readonly Reply[]) => {
    if (reply!.status === "STORED") job.result = "moved";
    if (reply!.status !== "SERVER_ERROR") return;
    if (options.unstorable === "stop") throw new Unstorable(job.key, target.name, reply!.message);
    job.result = "dropped"; // A's copy goes while our placeholder keeps others from filling; then the placeholder goes
  };
  await atTarget(crossing, fits, commands, answer, sameConnection(fits.map((job) => job.connection!)));
}

/** Seconds that A's value has left, rounded up; 0 when it has expired since; undefined when it never does. */
function remainingTtl(session: Session, job: Job): number | undefined {
  const ttl = job.copy!.ttl;
  if (ttl === undefined || ttl < 0) return undefined;
  return Math.max(0, Math.ceil(ttl - (session.clock.now() - job.readAt) / 1000));
}

/** Step 5: A's copies go, whatever CAS they have by now, until A answers miss. */
async function kill(crossing: Crossing, jobs: readonly Job[]): Promise<void> {
  const { session, view, source } = crossing;
  let open = jobs.map(({ key, copy, copyConnection }) => ({ key, cas: copy?.cas, connection: copyConnection }));
  for (let round = 0; open.length > 0; round++) {
    if (round === MAX_ROUNDS) throw new Retry();
    const left: typeof open = [];
    for (const part of parts(open, () => 2)) {
      const commands = part.flatMap(({ key, cas }) => [
        ...(cas === undefined ? [] : [metaDelete(key, { cas })]),
        metaGet(key, "c"),
      ]);
      const connections = part.flatMap(({ connection }) => connection ?? []);
      const result = await ask(session, view, source, commands, sameConnection(connections));
      await requireFence(session, view, source, result);
      let at = 0;
      for (const { key, cas } of part) {
        at += cas === undefined ? 1 : 2;
        const look = result.replies[at - 1]!;
        if (look.cas !== undefined) left.push({ key, cas: look.cas, connection: result.connection });
      }
    }
    open = left;
  }
}

/** A CAS token is used only on the connection that gave it. @throws Retry when they came from several */
function sameConnection(connections: readonly ConnectionRef[]): ConnectionRef | undefined {
  const first = connections[0];
  if (connections.some((other) => other.id !== first!.id)) throw new Retry();
  return first;
}

/** Sends each job's commands to B, packed into flushes, and hands back each job's replies after the fence check. */
async function atTarget(
  crossing: Crossing,
  jobs: readonly Job[],
  commands: readonly Command[][],
  answer: (job: Job, replies: readonly Reply[], connection: ConnectionRef) => void,
  on?: ConnectionRef,
): Promise<void> {
  const { session, view, target } = crossing;
  const work = jobs.map((job, i) => ({ job, commands: commands[i]! }));
  const size = (one: (typeof work)[number]) => one.commands.length;
  const bytes = (one: (typeof work)[number]) =>
    one.commands.reduce((sum, { line, data }) => sum + line.length + (data?.length ?? 0) + 4, 0);
  for (const part of parts(work, size, bytes)) {
    const flat = part.flatMap((one) => one.commands);
    const result: Exchanged = await ask(session, view, target, flat, on);
    await requireFence(session, view, target, result);
    let at = 0;
    for (const one of part) {
      answer(one.job, result.replies.slice(at, at + one.commands.length), result.connection);
      at += one.commands.length;
    }
  }
}

/** Slices that fit one exchange. */
function* parts<T>(
  items: readonly T[],
  size: (item: T) => number,
  bytes: (item: T) => number = () => 0,
): Iterable<T[]> {
  let part: T[] = [];
  let [commands, total] = [0, 0];
  for (const item of items) {
    const [more, length] = [size(item), bytes(item)];
    if (part.length > 0 && (commands + more > MAX_EXCHANGE_COMMANDS || total + length > MAX_EXCHANGE_BYTES)) {
      yield part;
      part = [];
      commands = total = 0;
    }
    part.push(item);
    commands += more;
    total += length;
  }
  if (part.length > 0) yield part;
}
