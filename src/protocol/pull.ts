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
import { isRingshiftError } from "../errors.ts";
import { classicCas, exptimeOf, isStored, metaDelete, metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Reply } from "../memcached/exchange.ts";
import { isTextKey } from "../memcached/key.ts";
import type { NodeRecord } from "../topology/document.ts";
import {
  atTarget,
  type Crossing,
  type Job,
  type PullKey,
  type PullOptions,
  type PullResult,
  parts,
  sameConnection,
  type Waiting,
} from "./crossing.ts";
import { Retry, Unstorable } from "./outcome.ts";
import { PLACEHOLDER_TTL_S, presentOnly, reserve, waitForOthers } from "./reserve.ts";
import type { Session } from "./session.ts";
import { ask, requireFence } from "./validate.ts";
import type { View } from "./view.ts";

export type { PullKey, PullOptions, PullResult } from "./crossing.ts";

const MAX_ROUNDS = 200;
const NOTHING_IN_THE_WAY: Waiting = { foreign: undefined, changes: 0 };

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
  const crossing = { session, view, source, target, options };
  const jobs = keys.map((key) => jobOf(key));
  let open = jobs;
  for (let round = 0; open.length > 0; round++) {
    if (round === MAX_ROUNDS) throw new Retry();
    const beganAt = session.clock.now();
    await pullRound(crossing, open);
    const tookMs = session.clock.now() - beganAt;
    open = jobs.filter((job) => job.result === undefined);
    const foreign = open.flatMap((job) => job.foreign ?? []);
    if (foreign.length > 0) await waitForOthers(session, foreign, round, tookMs);
  }
  return jobs.map((job) => job.result!);
}

/**
 * One round of a pull of one key, for a read, which waits for others by itself: its looks bring it the value.
 * @param waiting the placeholder that stood in the way so far; afterwards the one that does now
 * @returns undefined when the pull is not through: somebody's placeholder stands in the way, or what was found changed meanwhile
 * @throws Retry when the pull was aborted
 */
export async function pullAtOnce(
  crossing: Omit<Crossing, "options">,
  key: PullKey,
  waiting: Waiting,
): Promise<PullResult | undefined> {
  const job = jobOf(key, waiting);
  await pullRound({ ...crossing, options: { unstorable: "drop", forRead: true } }, [job]);
  waiting.foreign = job.foreign;
  waiting.changes = job.changes;
  return job.result;
}

function jobOf({ key, hash, point }: PullKey, { foreign, changes }: Waiting = NOTHING_IN_THE_WAY): Job {
  const none = { token: undefined, connection: undefined, copy: undefined, copyConnection: undefined };
  return { key, hash, point, foreign, changes, ...none, readAt: 0, refused: false, result: undefined };
}

/** All steps, for those jobs that nobody's placeholder stands in the way of. The others have no result afterwards. */
async function pullRound(crossing: Crossing, jobs: readonly Job[]): Promise<void> {
  const { session, view } = crossing;
  try {
    await takeSteps(crossing, jobs);
  } catch (error) {
    session.linger(view, (PLACEHOLDER_TTL_S + 1) * 1000); // placeholders of ours may stand
    throw error;
  }
  session.counters.pulled += jobs.filter((job) => job.result === "moved").length;
}

async function takeSteps(crossing: Crossing, jobs: readonly Job[]): Promise<void> {
  const { session, view } = crossing;
  const present =
    view.confirmed && session.isFresh(view) ? await reserve(crossing, jobs) : await presentOnly(crossing, jobs);
  const reserved = jobs.filter((job) => job.token !== undefined);
  if (reserved.length === 0 && present.length === 0 && !jobs.some((job) => job.refused)) return; // all wait
  await readSource(crossing, reserved);
  const found = reserved.filter((job) => job.copy !== undefined);
  await giveBack(
    crossing,
    reserved.filter((job) => job.copy === undefined),
  );
  await record(crossing, found);
  await fill(crossing, found);
  const filled = found.filter((job) => job.result !== undefined);
  await kill(crossing, crossing.options.forRead ? filled : [...present, ...filled]);
  for (const job of present) job.result = "present";
  await dropRefused(
    crossing,
    jobs.filter((job) => job.refused),
  );
  const dropped = found.filter((job) => job.result === "dropped");
  crossing.session.counters.dropped += dropped.length;
  await giveBack(crossing, dropped, "dropped");
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

/**
 * Step 2. A placeholder at A is a miss, and goes: a lease there could be filled by what its holder has sent already, and the value would stand there
 * until A has the key again.
 */
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
    const places = part.flatMap(({ key }, i) => {
      const { flags, cas } = result.replies[i]!;
      return flags === PLACEHOLDER_FLAGS ? [metaDelete(key, { cas: cas! })] : [];
    });
    if (places.length === 0) continue;
    await requireFence(session, view, source, await ask(session, view, source, places, result.connection));
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
  for (const job of jobs) {
    if (remainingTtl(session, job) === 0) expired.push(job);
    else if (isTextKey(job.key) || (await hasRoom(crossing, job))) fits.push(job);
  }
  await giveBack(crossing, expired);
  const commands = fits.map((job) => {
    const { flags, cas: _, value } = job.copy!;
    const ttl = remainingTtl(session, job);
    const exptime = ttl === undefined ? 0 : exptimeOf(ttl, session.clock.epochSeconds());
    return [classicCas(job.key, flags!, exptime, job.token!, value!)];
  });
  const answer = (job: Job, [reply]: readonly Reply[]) => {
    if (isStored(reply!)) job.result = "moved";
    if (reply!.status !== "SERVER_ERROR") return;
    if (options.unstorable === "stop") throw new Unstorable(job.key, target.name, reply!.message);
    job.result = "dropped"; // A's copy goes while our placeholder keeps others from filling; then the placeholder goes
  };
  await atTarget(crossing, fits, commands, answer, sameConnection(fits.map((job) => job.connection!)));
}

/** A binary key is filled by `ms`, which takes what stands there with it when it fails: so the size is checked first. */
async function hasRoom({ session, options, target }: Crossing, job: Job): Promise<boolean> {
  try {
    await session.limits?.check(target, job.key.length, job.copy!.value!.length);
    return true;
  } catch (error) {
    if (!isRingshiftError(error, "VALUE_TOO_LARGE")) throw new Retry(error);
    if (options.unstorable === "stop") throw new Unstorable(job.key, target.name, error.message);
    job.result = "dropped";
    return false;
  }
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
