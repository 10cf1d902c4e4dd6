/** An operator's process: carries the changes of the plan through, one after another, with the product's Coordinator. */
import { isRingshiftError } from "../errors.ts";
import { applyChange, type Change } from "../migration/change.ts";
import { Coordinator } from "../migration/coordinator.ts";
import { type PrepareServers, plantFirst, standingFence } from "../migration/prepare.ts";
import { abort } from "../protocol/arm.ts";
import type { NodeRecord } from "../topology/document.ts";
import { SimProcess } from "./process.ts";

const LEASE_MS = 5_000;
const RENEW_MS = 1_000;
const TRIES = 12;

export class Operator extends SimProcess {
  done = false;

  async work(): Promise<void> {
    const { world, clock } = this;
    await this.open();
    const careless = world.random.chance(0.2);
    for (let i = 0; i < TRIES && world.changesDone < world.plan.changes.length; i++) {
      const at = world.changesDone;
      if (await this.#carryThrough(world.plan.changes[at]!, careless))
        world.changesDone = Math.max(world.changesDone, at + 1);
      else await clock.sleep(world.random.exponential(100));
    }
    this.done = true;
  }

  /** One command of the operator's. True when the change is made, by whomever. */
  async #carryThrough(change: Change, careless: boolean): Promise<boolean> {
    const { scheduler } = this.world;
    const holder = this.clock.randomId();
    let held = true;
    try {
      if (!careless && (await this.store.lease(holder, LEASE_MS)) !== holder) return false;
      const renew = () => {
        if (!held || careless) return;
        void this.store.lease(holder, LEASE_MS).catch(() => {});
        scheduler.after(RENEW_MS, this, renew);
      };
      scheduler.after(RENEW_MS, this, renew);
      if (await this.#isMade(change)) return true;
      scheduler.note(() => `${this.name} OPERATES ${JSON.stringify(change)}`);
      await new Coordinator(this.session, this.session.store as SimProcess["store"], {}, this.#prepare).run(change);
      scheduler.note(() => `${this.name} DONE ${JSON.stringify(change)}`);
      return true;
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      scheduler.note(() => `${this.name} FAILED ${error.code} ${error.message}`);
      this.world.count(`operator ${error.code}`);
      return false;
    } finally {
      held = false;
      if (!careless) await this.store.releaseLease(holder).catch(() => {});
    }
  }

  async #isMade(change: Change): Promise<boolean> {
    const { document } = await this.session.look();
    if (document.phase !== "S" || document.settling) return false;
    try {
      const { nodes } = applyChange(document, change);
      return JSON.stringify(nodes) === JSON.stringify(document.nodes);
    } catch (error) {
      if (isRingshiftError(error, "NODE_EXISTS") || isRingshiftError(error, "NODE_UNKNOWN")) return true;
      throw error;
    }
  }

  /** As `prepareServers` with `--flush`. */
  readonly #prepare: PrepareServers = async ({ namespace, transport, clock }, nodes, epoch) => {
    for (const node of nodes) {
      await this.#flush(node);
      const fence = await standingFence(transport, namespace, node);
      if (fence === undefined || fence <= epoch) await plantFirst(transport, namespace, node, epoch, false, clock);
    }
    return nodes.map(() => "1.6.18");
  };

  /** `flush_all` over a connection of its own. */
  #flush(node: NodeRecord): Promise<void> {
    const { scheduler, random, weather, servers } = this.world;
    return new Promise((resolve) => {
      scheduler.after(random.exponential(weather.mean), undefined, () => {
        scheduler.note(() => `${this.name} flush_all ${node.name}`);
        servers.get(node.address)!.flush();
        scheduler.after(random.exponential(weather.mean), this, resolve);
      });
    });
  }

  /** `migration abort`, in F. */
  async takeBack(): Promise<void> {
    try {
      const view = await this.session.look();
      if (view.document.phase !== "F") return;
      if ((await abort(this.session, view)) === "aborted") this.world.count("aborts");
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
    }
  }
}
