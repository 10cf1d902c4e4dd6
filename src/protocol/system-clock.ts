import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { randomId } from "../topology/document.ts";
import type { Clock } from "./clock.ts";

/** The machine's own time and randomness. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epochSeconds: () => Math.floor(Date.now() / 1000),
  sleep: (ms) => delay(ms),
  random: () => Math.random(),
  randomId,
};
