/** Time and chance, passed in, so that the same decisions run under a simulated scheduler. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** As `now`, read once a turn of the event loop at most: for what happens at every command. */
  coarse?(): number;
  /** Wall clock, whole seconds since 1970. */
  epochSeconds(): number;
  /** @param signal ends it early: it resolves then, too */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
  /** 16 hexadecimal digits. */
  randomId(): string;
}
