/**
 * What the nemesis does to memcached servers and to the connections to them. It writes into the timeline what the judge may explain losses by:
 * values that were there when a server was killed or flushed, and times in which it stood still.
 */
import { type Fault, proxyFaultOf } from "./faults.ts";
import type { Slot } from "./fleet.ts";
import type { Storm } from "./storm.ts";

/** A kill is seen from this long before it was sent. */
const BEFORE_MS = 5;
/** What was on its way through the kernel when a server ended. */
const AFTER_MS = 50;
/** A flush that was not answered may come about after a stop. */
const LATE_FLUSH_MS = 40_000;

export class ServerFaults {
  readonly #storm: Storm;
  #heavy = false;

  constructor(storm: Storm) {
    this.#storm = storm;
  }

  /** What the fault does to one of the servers; undefined when there is none that it concerns. */
  onServer(
    fault: "memcachedKilled" | "memcachedStopped" | "memcachedFlushed" | "memcachedFilled",
  ): (() => Promise<void>) | undefined {
    const { random, fleet } = this.#storm.options;
    const slots = fleet.slots.filter(
      ({ condition, limit }) =>
        condition === "up" && (fault !== "memcachedFilled" || limit === "refuses" || limit === "evicts"),
    );
    if (slots.length === 0) return undefined;
    const slot = random.pick(slots);
    switch (fault) {
      case "memcachedKilled":
        return () => this.#killServer(slot, 50, 4_000);
      case "memcachedStopped":
        return () => this.#stopServer(slot, 100, 2_500);
      case "memcachedFlushed":
        return () => this.#flushServer(slot);
      case "memcachedFilled":
        return async () => {
          this.#storm.note(`${slot.address} (${slot.limit}) filled`);
          await fleet.fill(slot, 8_000_000, random).catch(() => {});
        };
    }
  }

  async #killServer(slot: Slot, least: number, most: number): Promise<void> {
    const { clock, timeline } = this.#storm.options;
    const from = clock() - BEFORE_MS;
    slot.condition = "dead";
    this.#storm.note(`${slot.address} killed`);
    await slot.server.kill();
    timeline.incidents.push({ from, to: clock() + AFTER_MS, cause: "killed", address: slot.address });
    await this.#storm.pause(least, most);
    await slot.server.restart();
    slot.condition = "up";
    this.#storm.note(`${slot.address} is back, empty`);
  }

  async #stopServer(slot: Slot, least: number, most: number): Promise<void> {
    const { clock, timeline } = this.#storm.options;
    const from = clock() - BEFORE_MS;
    slot.condition = "stopped";
    await slot.server.kill("SIGSTOP");
    this.#storm.note(`${slot.address} stopped`);
    await this.#storm.pause(least, most);
    await slot.server.kill("SIGCONT");
    slot.condition = "up";
    timeline.pauses.push({ from, to: clock() });
    this.#storm.note(`${slot.address} continued after ${((clock() - from) / 1000).toFixed(1)} s`);
  }

  async #flushServer(slot: Slot): Promise<void> {
    const { clock, timeline, fleet } = this.#storm.options;
    const from = clock() - BEFORE_MS;
    this.#storm.note(`${slot.address} flushed`);
    const late = await fleet.flush(slot).then(
      () => AFTER_MS,
      () => LATE_FLUSH_MS, // killed or stopped meanwhile: the command may lie in its socket
    );
    timeline.incidents.push({ from, to: clock() + late, cause: "flushed", address: slot.address });
  }

  /** Few of the servers are away for long at a time, or no change of the ring would ever come through. */
  heavyOnServer(fault: "memcachedStoppedLong" | "memcachedDead"): (() => Promise<void>) | undefined {
    if (this.#heavy) return undefined;
    const used = this.#storm.options.fleet.slots.filter(({ condition }) => condition === "up");
    if (used.length === 0) return undefined;
    const slot = this.#storm.options.random.pick(used);
    return async () => {
      this.#heavy = true;
      if (fault === "memcachedStoppedLong") await this.#stopServer(slot, 5_000, 30_000);
      else {
        slot.abandoned = true;
        await this.#killServer(slot, 20_000, 40_000);
        slot.abandoned = false;
      }
      this.#heavy = false;
    };
  }

  onConnections(fault: Fault): () => Promise<void> {
    const { fleet, random } = this.#storm.options;
    const kind = proxyFaultOf(fault);
    const slot = random.pick(fleet.slots);
    const ms = Math.round(300 + random.exponential(1_500));
    return async () => {
      this.#storm.note(`connections to ${slot.address}: ${kind} for ${ms} ms`);
      fleet.fault(`m${slot.number}`, kind, ms);
    };
  }
}
