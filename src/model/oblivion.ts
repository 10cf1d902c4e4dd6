/**
 * A change that only one client, the keeper, can know of any more:
 *
 *   F ── the other clients lose Redis before they hear of it ── D ── the keeper goes on for a while
 *     ── Redis forgets both, the fences of all servers go but of one that joins; keeper and operators lose Redis, the others have it again
 */
import type { TopologyDocument } from "../topology/document.ts";
import { Caller } from "./caller.ts";
import { evictFence, failedOver, mayFailOver } from "./nemesis.ts";
import type { SimProcess } from "./process.ts";
import type { World } from "./world.ts";

/** Longer than the change takes to reach D, ms. */
const UNAWARE_MS = 60_000;

export class Oblivion {
  readonly #world: World;
  /** While its change is under way. */
  #keeper: SimProcess | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** A document was published. */
  published(document: TopologyDocument): void {
    const { profile, random } = this.#world;
    const keeper = this.#keeper;
    if (keeper === undefined) {
      if (document.phase === "F" && random.chance(profile.oblivion)) this.#begin();
      return;
    }
    if (document.phase !== "D") this.#release();
    else
      this.#world.scheduler.after(random.exponential(random.pick([50, 500, 3_000])), undefined, () =>
        this.#forget(document),
      );
  }

  #begin(): void {
    const world = this.#world;
    const callers = world.processes.filter((process) => process instanceof Caller && !process.dead && !process.done);
    if (!mayFailOver(world) || callers.length < 2) return;
    this.#keeper = world.random.pick(callers);
    for (const caller of callers) if (caller !== this.#keeper) world.cutFromRedis(caller, UNAWARE_MS);
  }

  #forget(document: TopologyDocument): void {
    const world = this.#world;
    const { redis, random, scheduler } = world;
    if (this.#keeper === undefined) return;
    if (redis.document?.id !== document.id || this.#keeper.dead) {
      this.#release();
      return;
    }
    world.count("oblivion");
    redis.failOver({ publications: 2 }); // F and D
    failedOver(world, "fails over, forgets the change");
    for (const process of world.processes) {
      const keeps = process === this.#keeper;
      if (!process.dead && (keeps || !(process instanceof Caller))) {
        world.cutFromRedis(process, 5_000 + random.next() * (keeps ? 15_000 : 60_000));
      }
    }
    for (const { name } of document.previousNodes!) {
      scheduler.after(random.exponential(10), undefined, () => evictFence(world, world.server(name)));
    }
    this.#release();
  }

  /** The others have Redis again. */
  #release(): void {
    const { processes, scheduler, random } = this.#world;
    for (const process of processes) {
      if (!(process instanceof Caller) || process.dead || process === this.#keeper) continue;
      process.store.cutUntil = scheduler.now;
      scheduler.after(random.exponential(20), process, () => process.announced());
    }
    this.#keeper = undefined;
  }
}
