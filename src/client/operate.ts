/**
 * One operation from its call to its answer: attempts under the view of the moment, begun again whenever rule V says that nothing has
 * happened yet, until it is answered, its effect is unknown, or its time is up.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Exchanged } from "../memcached/exchange.ts";
import { hold } from "../protocol/hold.ts";
import { Ambiguous, Retry, Unstorable } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import { vouched } from "../protocol/validate.ts";
import type { Caller, Route, View } from "../protocol/view.ts";
import type { NodeRecord } from "../topology/document.ts";

/** After this many attempts that failed by I/O the node counts as down for the operation. */
const MAX_IO_FAILURES = 2;
const MAX_PAUSE_MS = 50;
/** What a call whose time is up still waits, in ms, for its lost write to be put where others see it; this process knows it at once. */
const TELL_MS = 100;
/** Codes, with a node, that say that the node did not answer. */
const UNANSWERED: ReadonlySet<string> = new Set(["NODE_DOWN", "TIMEOUT", "AMBIGUOUS_WRITE"]);
/** Between two looks of an operation that waits for S because its key's server is declared dead. */
const DEAD_POLL_MS = 100;

export interface OperateOptions {
  /** From the call to the last attempt's start, in ms. */
  readonly timeoutMs: number;
  /** Attempt a write again whose effect is unknown: at least once instead of at most once. */
  readonly retryAmbiguous: boolean;
  /** `miss`: a read whose server does not answer is answered as a miss. Default `error`. */
  readonly onNodeDown?: OnNodeDown | undefined;
  /** Commands that one connection takes at a time, where that is limited. */
  readonly queueLimit?: number | undefined;
  /** Told of a read of a key's value that is answered as a miss because its server is away. */
  readonly onAway?: ((key: string) => void) | undefined;
  /** Told, before the rejection, of a write that its server may not have got. Never rejects. */
  readonly onLostWrite?: ((node: string, wire: string) => Promise<void>) | undefined;
}

export type OnNodeDown = "error" | "miss";

export interface Call<T> extends Caller {
  /** The key as the caller gave it, for errors. */
  readonly key: string;
  readonly wire: string;
  readonly hash: number;
  readonly write: boolean;
  /** A second run of the write after a first that may have run does no harm. */
  readonly repeatable: boolean;
  /** @param seen what the direct way was answered, accepted by rule V, where that did not decide */
  readonly attempt: (route: Route, seen?: Exchanged) => Promise<T>;
  /** Monotonic ms at which the caller called; without it, the time at which `operate` was. */
  startedAt?: number | undefined;
  /** Rejects although `onNodeDown` is `miss`. */
  strict?: boolean | undefined;
  /** May go the direct way while its key moves too (`DirectWay.open`). */
  inChange?: boolean | undefined;
  /** Counts as a read of the key's value. */
  counts?: boolean | undefined;
}

/** A first attempt that is under way already, in the view it was entered under. */
export interface Begun<T> {
  readonly view: View;
  readonly attempt: () => Promise<T>;
}

/** @throws RingshiftError */
export async function operate<T>(
  session: Session,
  options: OperateOptions,
  call: Call<T>,
  begun?: Begun<T>,
): Promise<T> {
  const earlier: Earlier = { effectUnknown: false };
  try {
    return await attempts(session, options, call, begun, earlier);
  } catch (error) {
    const unknown = earlier.effectUnknown && isRingshiftError(error) && error.code !== "AMBIGUOUS_WRITE";
    return unansweredCall(options, call, unknown ? ambiguous(session, call, error) : error);
  }
}

/**
 * What becomes of a call that ends with an error: an answer, where its server did not give one and the client was told what to take for it.
 * @param sleep given where the call's time is up: `onLostWrite` is waited for a moment only
 */
export async function unansweredCall<T>(
  options: OperateOptions,
  call: Call<T>,
  error: unknown,
  sleep?: (ms: number) => Promise<void>,
): Promise<T> {
  if (!isRingshiftError(error) || !UNANSWERED.has(error.code) || error.node === undefined) throw error;
  if (call.write && options.onLostWrite !== undefined) {
    const told = options.onLostWrite(error.node, call.wire);
    await (sleep === undefined ? told : Promise.race([told, sleep(TELL_MS)]));
  }
  if (call.write || options.onNodeDown !== "miss" || call.strict) throw error;
  if (call.counts && !call.abandoned) options.onAway?.(call.key);
  return undefined as T;
}

/** Of attempts that have been begun again. */
interface Earlier {
  /** One of them may have taken effect. */
  effectUnknown: boolean;
}

async function attempts<T>(
  session: Session,
  options: OperateOptions,
  call: Call<T>,
  begun: Begun<T> | undefined,
  earlier: Earlier,
): Promise<T> {
  const deadline = (call.startedAt ?? session.clock.now()) + options.timeoutMs;
  let failures = 0;
  for (let tries = 0; ; tries++) {
    const first = tries === 0 ? begun : undefined;
    if (call.abandoned && first === undefined) throw outOfTime(session, call.key, undefined);
    const view = first?.view ?? session.enter();
    let moving = false;
    let dead: NodeRecord | undefined;
    let cause: unknown;
    try {
      if (first !== undefined) return await first.attempt();
      const route = view.route(call.wire, call.hash);
      moving = route.moving;
      dead = view.waitsFor(route);
      if (dead !== undefined) throw new Retry(declaredDead(dead.name));
      if (moving && call.write && view.document.phase === "F") throw new Retry();
      if (call.write) await vouched(session, route);
      route.caller = call;
      if (!call.write) call.node = route.node.name; // of a write: when it goes out
      return await call.attempt(route);
    } catch (error) {
      cause = judge(session, options, call, error);
      earlier.effectUnknown ||= error instanceof Ambiguous || hasActed(call, error);
      call.begun = earlier.effectUnknown;
    } finally {
      session.leave(view);
    }
    session.counters.retries++;
    if (dead === undefined && isIoFailure(cause)) {
      if (++failures >= MAX_IO_FAILURES || isKnownDown(session, view, call, cause)) throw withKey(cause, call.key);
    }
    if (session.clock.now() > deadline) throw outOfTime(session, call.key, cause);
    if (dead !== undefined) await Promise.race([view.superseded, session.clock.sleep(DEAD_POLL_MS)]);
    else await beforeNext(session, view, moving, tries);
  }
}

/** The caller's own step went out and was not answered, one that may be repeated. */
function hasActed<T>({ write, begun }: Call<T>, error: unknown): boolean {
  return write && begun === true && error instanceof Retry && error.acted;
}

/** The cause of an attempt that may be begun again; throws what ends the operation. */
function judge<T>(session: Session, options: OperateOptions, call: Call<T>, error: unknown): unknown {
  if (error instanceof Retry) return error.cause;
  if (error instanceof Ambiguous) {
    if (call.repeatable && options.retryAmbiguous) return error.cause;
    throw ambiguous(session, call, error.cause);
  }
  if (error instanceof Unstorable) {
    throw new RingshiftError(
      "SERVER_ERROR",
      `${error.node} is to own the key but has no memory for it: ${error.message}`,
      {
        key: call.key,
        node: error.node,
      },
    );
  }
  throw isRingshiftError(error) ? withKey(error, call.key) : error;
}

function ambiguous<T>(session: Session, { key, abandoned }: Call<T>, cause: unknown): RingshiftError {
  if (!abandoned) session.counters.ambiguousWrites++;
  const message = `The write of ${JSON.stringify(key)} was sent but not confirmed: read the key, or write again.`;
  const node = isRingshiftError(cause) ? cause.node : undefined;
  return new RingshiftError("AMBIGUOUS_WRITE", message, { key, cause, node });
}

async function beforeNext(session: Session, view: View, moving: boolean, tries: number): Promise<void> {
  if (view.document.phase === "F" && moving && session.view === view) return hold(session, view);
  if (session.view === view) await session.refresh();
  if (tries > 0) await session.clock.sleep(Math.min(2 ** tries, MAX_PAUSE_MS) * (0.5 + session.clock.random() / 2));
}

function declaredDead(node: string): RingshiftError {
  return new RingshiftError("NODE_DOWN", `${node} is declared dead, and its keys have no other owner yet.`, { node });
}

function isIoFailure(cause: unknown): cause is RingshiftError {
  if (!(cause instanceof RingshiftError)) return false;
  return ["NODE_DOWN", "TIMEOUT", "PROTOCOL_ERROR", "QUEUE_FULL", "CLOSED", "CLUSTER_MANAGED", "AUTH_FAILED"].includes(
    cause.code,
  );
}

/**
 * Another attempt would be refused by the link at once, and the document is young enough to say that the key has no other owner: a failing call
 * costs no question to Redis then. A program that keeps calling for keys of a server that is away would ask it without a pause.
 */
function isKnownDown<T>(session: Session, view: View, call: Call<T>, cause: RingshiftError): boolean {
  if (cause.code !== "NODE_DOWN" || session.view !== view || !session.isFresh(view)) return false;
  const { node } = view.route(call.wire, call.hash);
  return node.name === cause.node && session.transport.isDown?.(node) === true;
}

function withKey(error: RingshiftError, key: string): RingshiftError {
  if (error.key !== undefined) return error;
  return new RingshiftError(error.code, error.message, { node: error.node, key, cause: error.cause });
}

/** A process that was stopped finds its question to Redis timed out, which says nothing of Redis: that is its own time that is up. */
function outOfTime(session: Session, key: string, cause: unknown): RingshiftError {
  const ofRedis = isRingshiftError(cause, "REDIS_UNREACHABLE") && !session.redisDown;
  if (isRingshiftError(cause) && !ofRedis) return withKey(cause, key);
  return new RingshiftError(
    "TIMEOUT",
    `The operation on ${JSON.stringify(key)} did not finish in time; nothing was written.`,
    {
      key,
      cause,
    },
  );
}
