/**
 * The ends that a call has besides its own: its time is up, or the caller's AbortSignal fires. The promise settles then, whatever the work
 * behind it still waits for (a server, Redis, a lane). A call that is given up begins nothing any more; what it had sent may take effect.
 */
import { setMaxListeners } from "node:events";
import { RingshiftError } from "../errors.ts";
import type { Session } from "../protocol/session.ts";
import { type Call, type OperateOptions, unansweredCall } from "./operate.ts";

/** After the operation's own deadline, so that its own error, which says more, comes first. */
const GRACE_MS = 20;

/** Settles as `work`, or as `giveUp` when the call's time is up. */
export function bounded<T>(session: Session, options: OperateOptions, call: Call<T>, work: Promise<T>): Promise<T> {
  if (call.startedAt === undefined) return work;
  const leftMs = call.startedAt + options.timeoutMs + GRACE_MS - session.clock.now();
  return new Promise((resolve, reject) => {
    let settled = false;
    let givenUp = false; // for good: an answer that comes while the write is being listed must not be taken for one
    const giveUpNow = () => {
      if (settled) return;
      givenUp = true;
      giveUp(session, options, call).then(resolve, reject);
    };
    // after a stall of this process the answer may lie in a socket unread: it gets one round of the event loop
    const timer = setTimeout(() => setImmediate(giveUpNow), Math.max(0, leftMs));
    const end = () => {
      settled = true;
      clearTimeout(timer);
    };
    work.then(
      (answer) => givenUp || resolve(answer),
      (error: unknown) => givenUp || reject(error),
    );
    work.then(end, end);
  });
}

/** Settles as `work`, or rejects with ABORTED, the signal's reason as its cause. */
export function abortable<T>(signal: AbortSignal | undefined, call: Call<T>, begin: () => Promise<T>): Promise<T> {
  if (signal === undefined) return begin();
  if (signal.aborted) return Promise.reject(aborted(signal, call, "nothing was sent"));
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      call.abandoned = true;
      reject(aborted(signal, call, call.write ? "it may have taken effect" : "its answer is not waited for"));
    };
    // one signal for many calls is no leak; a polyfill's or another realm's counts none
    if (signal instanceof EventTarget) setMaxListeners(0, signal);
    signal.addEventListener("abort", onAbort, { once: true });
    const end = () => signal.removeEventListener("abort", onAbort);
    try {
      const work = begin();
      work.then(resolve, reject);
      work.then(end, end);
    } catch (error) {
      end();
      reject(error);
    }
  });
}

/**
 * The call's time is up: nothing more of it begins. Rejects with AMBIGUOUS_WRITE for a write that may have been sent, else with TIMEOUT; a read of a
 * client that takes a server that does not answer for a miss is answered so.
 */
export function giveUp<T>(session: Session, options: OperateOptions, call: Call<T>): Promise<T> {
  if (call.write && call.begun && !call.abandoned) session.counters.ambiguousWrites++;
  if (!call.write) call.node ??= session.view.route(call.wire, call.hash).node.name; // it may have waited behind a write
  const answer = unansweredCall(options, call, late(call), (ms) => session.clock.sleep(ms));
  call.abandoned = true;
  return answer;
}

/** What a call rejects with whose time is up. */
export function late<T>({ key, write, begun, node }: Call<T>): RingshiftError {
  const name = JSON.stringify(key);
  if (write && begun) {
    const message = `The write of ${name} is not confirmed and its time is up: read the key, or write again.`;
    return new RingshiftError("AMBIGUOUS_WRITE", message, { key, node });
  }
  const effect = write ? "; nothing was written" : "";
  return new RingshiftError("TIMEOUT", `The operation on ${name} did not finish in time${effect}.`, { key, node });
}

function aborted<T>(signal: AbortSignal, call: Call<T>, what: string): RingshiftError {
  return new RingshiftError("ABORTED", `The call on ${JSON.stringify(call.key)} was aborted: ${what}.`, {
    key: call.key,
    cause: signal.reason,
  });
}
