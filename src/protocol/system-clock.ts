import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { randomId } from "../topology/document.ts";
import type { Clock } from "./clock.ts";

let turn = 0;

function coarse(): number {
  if (turn === 0) {
    turn = performance.now();
    process.nextTick(() => {
      turn = 0;
    });
  }
  return turn;
}

function unlessAborted(error: unknown): void {
  if ((error as Error).name !== "AbortError") throw error;
}

/** The machine's own time and randomness. */
export const systemClock: Clock = {
  now: () => performance.now(),
  coarse,
  epochSeconds: () => Math.floor(Date.now() / 1000),
  sleep: (ms, signal) => (signal === undefined ? delay(ms) : delay(ms, undefined, { signal }).catch(unlessAborted)),
  random: () => Math.random(),
  randomId,
};
