/** What the judge has to know and nobody logs: documents as Redis shows them, Redis' fail-overs, evictions. Asked past the proxies. */
import { setTimeout as sleep } from "node:timers/promises";
import { isRingshiftError } from "../errors.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { RedisStore } from "../topology/redis-store.ts";
import type { Fleet } from "./fleet.ts";
import type { Timeline } from "./timeline.ts";

const POLL_MS = 20;
const EVICTIONS_MS = 500;

export class Watch {
  readonly #fleet: Fleet;
  readonly #timeline: Timeline;
  readonly #clock: () => number;
  /** Rings whose document Redis had at the last look. */
  readonly present = new Set<string>();
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(fleet: Fleet, rings: readonly string[], timeline: Timeline, clock: () => number) {
    this.#fleet = fleet;
    this.#timeline = timeline;
    this.#clock = clock;
    this.#running = [...rings.map((ring) => this.#documents(ring)), this.#evictions()];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #documents(ring: string): Promise<void> {
    let url = "";
    let store: RedisStore | undefined;
    let [last, unconfirmedSince] = ["", undefined as number | undefined];
    while (!this.#stopped) {
      if (url !== this.#fleet.redis.url) {
        await store?.close();
        url = this.#fleet.redis.url;
        store = new RedisStore(url, namespaceOf(ring));
      }
      try {
        const { document, runId } = await store!.read();
        const at = this.#clock();
        if (document !== null && document.id !== last) this.#timeline.saw(ring, { at, document });
        if (document === null) this.present.delete(ring);
        else {
          last = document.id;
          this.present.add(ring);
        }
        const confirmed = document !== null && document.runId === runId;
        if (!confirmed) unconfirmedSince ??= at;
        else if (unconfirmedSince !== undefined) {
          this.#timeline.unconfirmed.push({ ring, from: unconfirmedSince, to: at });
          this.#timeline.note(at, `ring ${ring}: confirmed after ${((at - unconfirmedSince) / 1000).toFixed(1)} s`);
          unconfirmedSince = undefined;
        }
      } catch (error) {
        if (!isRingshiftError(error)) throw error; // Redis is away: nothing is published
      }
      await sleep(POLL_MS);
    }
    if (unconfirmedSince !== undefined)
      this.#timeline.unconfirmed.push({ ring, from: unconfirmedSince, to: this.#clock() });
    await store?.close();
  }

  /** Which of a server's values was thrown out it does not tell: any may have been, since the last look. */
  async #evictions(): Promise<void> {
    const known = new Map<string, { at: number; count: number }>();
    while (!this.#stopped) {
      for (const slot of this.#fleet.slots) {
        if (slot.condition !== "up") continue;
        const asked = this.#clock();
        const count = await this.#fleet.evictions(slot);
        if (count === undefined) continue;
        const before = known.get(slot.address);
        const from = before !== undefined && count >= before.count ? before : { at: before?.at ?? 0, count: 0 };
        if (count > from.count) {
          this.#timeline.incidents.push({ from: from.at, to: this.#clock(), cause: "evicted", address: slot.address });
        }
        known.set(slot.address, { at: asked, count });
      }
      await sleep(EVICTIONS_MS);
    }
  }
}
