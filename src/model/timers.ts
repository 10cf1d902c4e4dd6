/**
 * Node's timers in virtual time. The product's code bounds a call and renews a lease by `setTimeout` and `setInterval`; while a run is under
 * way these are the scheduler's, in the process whose event asked for them. So a call's time is up when its process' clock says so, a seed
 * replays exactly, and nothing of a run is left behind in the real event loop.
 */
import type { Event, Owner, Scheduler } from "./scheduler.ts";

const REAL = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate };

class SimTimer {
  /** Undefined once it is cleared. */
  event: Event | undefined;

  unref(): this {
    return this;
  }

  ref(): this {
    return this;
  }
}

/** Until the function returned is called, timers set from a process' event are the scheduler's. All others stay Node's. */
export function virtualTimers(scheduler: Scheduler): () => void {
  const after = (owner: Owner, timer: SimTimer, ms: number, run: () => void) => {
    timer.event = scheduler.after(Math.max(0, ms), owner, run);
  };
  const once = (real: (run: () => void, ms?: number) => unknown) => (run: () => void, ms?: number) => {
    const owner = scheduler.current;
    if (owner === undefined) return real(run, ms);
    const timer = new SimTimer();
    after(owner, timer, ms ?? 0, run);
    return timer;
  };
  const every = (run: () => void, ms = 1) => {
    const owner = scheduler.current;
    if (owner === undefined) return REAL.setInterval(run, ms);
    const timer = new SimTimer();
    const again = () => {
      run();
      if (timer.event !== undefined) after(owner, timer, ms, again);
    };
    after(owner, timer, ms, again);
    return timer;
  };
  const clear = (real: (timer: never) => void) => (timer: unknown) => {
    if (!(timer instanceof SimTimer)) real(timer as never);
    else if (timer.event !== undefined) {
      scheduler.cancel(timer.event);
      timer.event = undefined;
    }
  };
  Object.assign(globalThis, {
    setTimeout: once(REAL.setTimeout),
    setImmediate: once((run) => REAL.setImmediate(run)),
    setInterval: every,
    clearTimeout: clear(REAL.clearTimeout),
    clearInterval: clear(REAL.clearInterval),
  });
  return () => void Object.assign(globalThis, REAL);
}
