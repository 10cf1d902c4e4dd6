/**
 * An operator's process: carries the changes of the plan through, one after another, with the product's Coordinator, and does what an operator
 * does when a server is gone for good or a value does not fit.
 */
import { isRingshiftError } from "../errors.ts";
import { markDead } from "../migration/abandon.ts";
import { abortChange } from "../migration/abort.ts";
import { applyChange, type Change } from "../migration/change.ts";
import { Coordinator } from "../migration/coordinator.ts";
import { type PrepareServers, plantFirst } from "../migration/prepare.ts";
import { standingFence } from "../migration/standing-fence.ts";
import { abort } from "../protocol/arm.ts";
import type { NodeRecord } from "../topology/document.ts";
import { SimProcess } from "./process.ts";
import type { SimStore } from "./store.ts";

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
      if (await this.carryThrough(world.plan.changes[at]!, careless))
        world.changesDone = Math.max(world.changesDone, at + 1);
      else await clock.sleep(world.random.exponential(100));
    }
    this.done = true;
  }

  /** One command of the operator's. True when the change is made, by whomever. */
  protected carryThrough(change: Change, careless: boolean): Promise<boolean> {
    const { scheduler } = this.world;
    return this.leased(careless, async () => {
      if (this.world.gone !== undefined) await this.#giveUp(this.world.gone);
      if (await this.#isMade(change)) return;
      this.#revive(change);
      scheduler.note(() => `${this.name} OPERATES ${JSON.stringify(change)}`);
      await this.#coordinator().run(change);
      scheduler.note(() => `${this.name} DONE ${JSON.stringify(change)}`);
    });
  }

  /** Runs `work` under the lease, or without it. True when it came to its end. */
  protected async leased(careless: boolean, work: () => Promise<void>): Promise<boolean> {
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
      await work();
      return true;
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      scheduler.note(() => `${this.name} FAILED ${error.code} ${error.message}`);
      this.world.count(`operator ${error.code}`);
      if (error.code === "WOULD_NOT_FIT") await this.#makeRoom();
      return false;
    } finally {
      held = false;
      if (!careless) await this.store.releaseLease(holder).catch(() => {});
    }
  }

  protected get operatorStore(): SimStore {
    return this.session.store as SimStore;
  }

  #coordinator(): Coordinator {
    return new Coordinator(this.session, this.operatorStore, {}, this.#prepare);
  }

  async #isMade(change: Change): Promise<boolean> {
    const { document } = await this.session.look();
    if (document.phase !== "S" || document.settling) return false;
    try {
      const { nodes } = applyChange(document, change);
      return JSON.stringify(nodes) === JSON.stringify(document.nodes);
    } catch (error) {
      if (isRingshiftError(error) && ["NODE_EXISTS", "NODE_UNKNOWN", "LAST_NODE"].includes(error.code)) return true;
      throw error;
    }
  }

  /** A server that does not come back is abandoned, or taken out of the ring. One that keys move to is started anew instead. */
  async #giveUp(name: string): Promise<void> {
    const { world } = this;
    const { document, diff } = await this.session.look();
    const lost = [...document.nodes, ...(document.previousNodes ?? [])].some((node) => node.name === name);
    if (!lost) return;
    world.scheduler.note(() => `${this.name} GIVES UP ${name}`);
    world.count("given up");
    if (document.phase === "S") {
      await this.#coordinator().run({ kind: "remove-node", names: [name], dead: true });
    } else if (document.phase === "D") {
      const gains = diff!.arcs.some((arc) => arc.moves && arc.toNode === name);
      if (gains) this.#start(name);
      else await markDead(this.session, this.operatorStore, name);
      await this.#coordinator().resume();
    }
  }

  /** A server that is to join runs, whatever became of it. */
  #revive(change: Change): void {
    if (change.kind !== "add-node") return;
    const { gone } = this.world;
    if (gone !== undefined && change.nodes.some(({ name }) => name === gone)) this.#start(gone);
  }

  #start(name: string): void {
    const server = this.world.server(name);
    this.world.scheduler.note(() => `${this.name} STARTS ${name} anew`);
    if (server.reachedBy !== undefined) this.world.restart(server, 0);
    server.reachedBy = undefined;
    server.downUntil = 0;
    this.world.gone = undefined;
  }

  /** The ring is put back, or the server gets a larger item limit. */
  async #makeRoom(): Promise<void> {
    const { world } = this;
    if (world.random.chance(0.5)) {
      for (const server of world.servers.values()) server.itemLimit = Number.POSITIVE_INFINITY;
      return;
    }
    world.count("aborts in D");
    try {
      await abortChange(this.session, this.operatorStore, {}, (run) => run());
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
    }
  }

  /** As `prepareServers` with `--flush`. */
  readonly #prepare: PrepareServers = async ({ namespace, transport, clock }, nodes, epoch) => {
    for (const node of nodes) {
      await this.#flush(node);
      const fence = (await standingFence(transport, namespace, node))?.number;
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
