/**
 * The ends that a call has besides its own: its time is up, or the caller's AbortSignal fires. The promise settles then, whatever the work
 * behind it still waits for (a server, Redis, a lane). A call that is given up begins nothing any more; what it had sent may take effect.
 */
import { setMaxListeners } from "node:events";
import { RingshiftError } from "../errors.ts";
import type { Clock } from "../protocol/clock.ts";
import type { Call } from "./operate.ts";

/** After the operation's own deadline, so that its own error, which says more, comes first. */
const GRACE_MS = 20;

/** Settles as `work`, or rejects when the call's time is up: AMBIGUOUS_WRITE for a write that may have been sent, else TIMEOUT. */
export function bounded<T>(clock: Clock, timeoutMs: number, call: Call<T>, work: Promise<T>): Promise<T> {
  if (call.startedAt === undefined) return work;
  const leftMs = call.startedAt + timeoutMs + GRACE_MS - clock.now();
  return new Promise((resolve, reject) => {
    let settled = false;
    const giveUp = () => {
      if (settled) return;
      call.abandoned = true;
      reject(late(call));
    };
    // after a stall of this process the answer may lie in a socket unread: it gets one round of the event loop
    const timer = setTimeout(() => setImmediate(giveUp), Math.max(0, leftMs));
    const end = () => {
      settled = true;
      clearTimeout(timer);
    };
    work.then(resolve, reject);
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
    setMaxListeners(0, signal); // one signal for many calls is no leak
    signal.addEventListener("abort", onAbort, { once: true });
    const end = () => signal.removeEventListener("abort", onAbort);
    const work = begin();
    work.then(resolve, reject);
    work.then(end, end);
  });
}

/** What a call rejects with whose time is up. */
export function late<T>(call: Call<T>): RingshiftError {
  const key = JSON.stringify(call.key);
  if (call.write && call.begun) {
    const message = `The write of ${key} is not confirmed and its time is up: read the key, or write again.`;
    return new RingshiftError("AMBIGUOUS_WRITE", message, { key: call.key });
  }
  const effect = call.write ? "; nothing was written" : "";
  return new RingshiftError("TIMEOUT", `The operation on ${key} did not finish in time${effect}.`, { key: call.key });
}

function aborted<T>(signal: AbortSignal, call: Call<T>, what: string): RingshiftError {
  return new RingshiftError("ABORTED", `The call on ${JSON.stringify(call.key)} was aborted: ${what}.`, {
    key: call.key,
    cause: signal.reason,
  });
}
