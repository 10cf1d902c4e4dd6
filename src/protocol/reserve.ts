/**
 * Rule P, step 1: a place at the new owner, by a placeholder.
 *
 *   nothing there                        ours
 *   a value, or a lease of this epoch    nothing to bring
 *   somebody's placeholder               look again and again; when its CAS has stood for too long, overwrite it by that CAS: ours
 *
 * Hundreds of processes may wait for one key whose puller has died, on a machine that they keep busy by it. So looks become rarer, waiters take
 * over at different moments, and whoever has taken over is granted more time than the one before.
 */
import { classicAdd, classicCas, isStored, metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { ConnectionRef, Reply } from "../memcached/exchange.ts";
import { atTarget, type Crossing, type Foreign, type Job, sameConnection, type Waiting } from "./crossing.ts";
import { leaseEpoch } from "./lease.ts";
import { Retry, Unstorable } from "./outcome.ts";
import type { Session } from "./session.ts";

/** A placeholder outlives its puller by this long at most. */
export const PLACEHOLDER_TTL_S = 3;
/**
 * Somebody's placeholder that has stood this long with one CAS is taken over, by each waiter at a moment of its own up to three times that, late
 * ones likelier than early ones: of hundreds that wait a few come early, and the others find the value before it is their turn. Each time that
 * the CAS changes the waiter grants twice as much: on a machine so busy that pulls take longer than this, one gets through all the same.
 */
const TAKE_OVER_MS = 50;
const MAX_TAKE_OVER_MS = 800;
const TAKE_OVER_SPREAD = 2;
/** Between two looks at somebody's placeholder: at random up to this, three times as long at each look: many waiters must not stand in the puller's way. */
const FIRST_WAIT_MS = 5;
const MAX_WAIT_MS = 45;
/** But at least so many times as long as the last look took: where looks take long they are what the machine is busy with, and the puller gets no turn. */
const WAIT_PER_LOOK = 4;
const MAX_WAIT_WHERE_LOOKS_TAKE_LONG_MS = 90;
const EMPTY = Buffer.alloc(0);

/** Step 1. Answers the jobs for which B has a value; the others have a token, or somebody's placeholder to wait for. */
export async function reserve(crossing: Crossing, jobs: readonly Job[]): Promise<Job[]> {
  const { session } = crossing;
  const present: Job[] = [];
  const takeOver: ConnectionRef[] = [];
  const commands = jobs.map((job) => {
    job.token = job.copy = undefined;
    const look = metaGet(job.key, "f c s");
    const { foreign } = job;
    if (foreign?.lease) return [metaGet(job.key, "v f"), look];
    if (foreign === undefined) return [classicAdd(job.key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL_S, EMPTY), look];
    if (session.clock.now() < foreign.takeOverAt) return [look];
    takeOver.push(foreign.connection);
    return [classicCas(job.key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL_S, foreign.cas, EMPTY), look];
  });
  const answer = (job: Job, replies: readonly Reply[], connection: ConnectionRef) => {
    const look = replies.at(-1)!;
    const put = replies.length > 1 ? replies[0]! : undefined;
    const refused = put?.status === "SERVER_ERROR" && (look.cas === undefined || look.flags === PLACEHOLDER_FLAGS);
    if (refused && crossing.options.unstorable === "stop") {
      throw new Unstorable(job.key, crossing.target.name, put.message);
    }
    job.refused = refused;
    if (refused) return;
    if (job.foreign?.lease) {
      if (put?.flags === PLACEHOLDER_FLAGS && leaseEpoch(put.value) === crossing.view.document.epoch) {
        job.foreign = undefined;
        present.push(job); // P had passed when it was put
        return;
      }
      job.foreign.lease = false;
    }
    if (look.cas === undefined) {
      job.foreign = undefined; // gone again between the two: next round
    } else if (look.flags !== PLACEHOLDER_FLAGS) {
      present.push(job);
    } else if (put !== undefined && isStored(put)) {
      job.token = look.cas;
      job.connection = connection;
      job.foreign = undefined;
    } else {
      sawForeign(session, job, look, connection);
    }
  };
  await atTarget(crossing, jobs, commands, answer, sameConnection(takeOver));
  return present;
}

/** Step 1 while the document is unconfirmed: no placeholder is put; values that have crossed already are accepted, all others wait. */
export async function presentOnly(crossing: Crossing, jobs: readonly Job[]): Promise<Job[]> {
  const present: Job[] = [];
  const commands = jobs.map((job) => [metaGet(job.key, "f c")]);
  await atTarget(crossing, jobs, commands, (job, [look]) => {
    if (look!.cas !== undefined && look!.flags !== PLACEHOLDER_FLAGS) present.push(job);
  });
  if (present.length < jobs.length) throw new Retry();
  return present;
}

/** What was seen is somebody's placeholder: from then on it is waited for, from anew when it is another one than before. */
export function sawForeign(session: Session, waiting: Waiting, { cas, size }: Reply, connection: ConnectionRef): void {
  if (waiting.foreign?.cas === cas) return;
  const grantedMs = Math.min(MAX_TAKE_OVER_MS, TAKE_OVER_MS * 2 ** waiting.changes++);
  const takeOverAt = session.clock.now() + grantedMs * (1 + TAKE_OVER_SPREAD * Math.sqrt(session.clock.random()));
  waiting.foreign = { cas: cas!, connection, takeOverAt, lease: (size ?? 0) > 0 };
}

/**
 * Before the next look, at the latest until a placeholder is to be taken over.
 * @param round how often this has waited before
 * @param tookMs how long the last look took
 */
export async function waitForOthers(
  { clock }: Session,
  foreign: readonly Foreign[],
  round: number,
  tookMs: number,
): Promise<void> {
  const longest = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 3 ** round);
  const wait = Math.max(
    longest * (0.2 + 0.8 * clock.random()),
    Math.min(MAX_WAIT_WHERE_LOOKS_TAKE_LONG_MS, tookMs * WAIT_PER_LOOK),
  );
  const due = Math.min(...foreign.map(({ takeOverAt }) => takeOverAt)) - clock.now();
  await clock.sleep(Math.max(1, Math.min(due, wait)));
}
