/**
 * Operators beside the one with the plan: one who looks after the cluster (sweep, reindex, verify, confirm, pause, abort), and one with a plan
 * of his own.
 */
import { isRingshiftError } from "../errors.ts";
import { abortChange } from "../migration/abort.ts";
import { applyChange, type Change } from "../migration/change.ts";
import { pause, unpause } from "../migration/control.ts";
import { recover } from "../migration/recover.ts";
import { reindex } from "../migration/reindex.ts";
import { sweep } from "../migration/sweep.ts";
import { verify } from "../migration/verify.ts";
import { Operator } from "./operator.ts";
import { addressOf, SERVERS } from "./plan.ts";

const CHORES = { sweep: 3, reindex: 2, verify: 1, fix: 2, confirm: 1, pause: 1, abort: 1 };
const MAX_CHORES = 4;
/** A change is under way, or somebody else has the lease. */
const TRIES = 8;

/** Does a few chores, with time between them. */
export class Upkeep extends Operator {
  override async work(): Promise<void> {
    const { random } = this.world;
    await this.open();
    for (let left = random.int(1, MAX_CHORES); left > 0; left--) {
      await this.#wait();
      const chore = random.weighted(CHORES);
      this.world.scheduler.note(() => `${this.name} ${chore.toUpperCase()}`);
      const alone = chore === "pause" || chore === "abort" || chore === "verify";
      for (let tries = 0; tries < TRIES; tries++) {
        if (await this.leased(alone, () => this.#do(chore))) {
          this.world.count(`chore ${chore}`);
          break;
        }
        await this.clock.sleep(random.exponential(200));
      }
    }
    this.done = true;
  }

  #wait(): Promise<void> {
    const { world } = this;
    const { random } = world;
    const [count, ms] = [random.int(1, 4), random.exponential(1_000)];
    return new Promise((resolve) => {
      world.publications(count, ms, () => world.scheduler.after(random.exponential(20), this, resolve));
    });
  }

  async #do(chore: keyof typeof CHORES): Promise<void> {
    const { session, operatorStore: store } = this;
    const nothing = () => {};
    switch (chore) {
      case "sweep":
        await sweep(session, store, nothing);
        return;
      case "reindex":
        await reindex(session, store, this.world.random.pick(SERVERS), nothing);
        return;
      case "verify":
      case "fix":
        await verify(session, store, { full: true, fix: chore === "fix" });
        return;
      case "confirm":
        this.evicting = true;
        await recover(session, store, nothing).finally(() => {
          this.evicting = false;
        });
        return;
      case "pause": {
        await pause(store, (await session.look()).document);
        await this.clock.sleep(this.world.random.exponential(500));
        await unpause(store);
        return;
      }
      case "abort":
        await abortChange(session, store, {}, (run) => run());
    }
  }
}

/** Changes the ring as comes to mind, in turn with the operator who has the plan or in his way. */
export class Rival extends Operator {
  override async work(): Promise<void> {
    const { random } = this.world;
    await this.open();
    const careless = random.chance(0.5);
    for (let left = random.int(1, 3); left > 0; left--) {
      await this.clock.sleep(random.exponential(200));
      const change = await this.#anyChange();
      if (change !== undefined) await this.carryThrough(change, careless);
    }
    this.done = true;
  }

  /** One that the present ring admits and that leaves two servers in it. */
  async #anyChange(): Promise<Change | undefined> {
    const { random, gone } = this.world;
    try {
      const { document } = await this.session.look();
      const name = random.pick(SERVERS);
      const vnodes = random.int(1, 2);
      const there = document.nodes.some((node) => node.name === name);
      const leaves = random.chance(0.4) && document.nodes.length > 2;
      if (name === gone) return undefined;
      const change: Change = !there
        ? { kind: "add-node", nodes: [{ name, address: addressOf(name), vnodes }] }
        : leaves
          ? { kind: "remove-node", names: [name] }
          : { kind: "set-vnodes", name, vnodes };
      applyChange(document, change);
      return change;
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      return undefined;
    }
  }
}
