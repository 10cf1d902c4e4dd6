/** What the admin port shows and changes. `gateway.ts` puts it together. */
import type { Admin } from "../../migration/admin.ts";
import type { NodeWatch } from "../../observer/node-watch.ts";
import type { Cache } from "../cache.ts";
import type { Changes } from "../changes.ts";
import type { EntryCounter } from "../entry-counter.ts";
import type { EventLog } from "../event-log.ts";
import type { Traffic } from "../traffic.ts";
import { HoldingsCache, type MigrationView, migrationView, nodeViews, preparingView, type StateView } from "./state.ts";

export interface AdminParts {
  readonly namespace: string;
  readonly admin: Admin;
  readonly cache: () => Cache;
  readonly changes: Changes;
  readonly watch: NodeWatch;
  readonly counter: EntryCounter;
  readonly log: EventLog;
  readonly traffic: Traffic;
  /** This process' observer holds the lock. */
  readonly observing: () => boolean;
  /** The gateway is going to stop. */
  readonly draining: () => boolean;
}

/** Makes snapshots of the cluster. Redis is asked only while a change is under way. */
export class StateReader {
  readonly #parts: AdminParts;
  readonly #holdings = new HoldingsCache();

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  /** Points and shares of the ring that requests are routed by. */
  get holdings() {
    return this.#holdings.of(this.#parts.cache().session.view.document);
  }

  get nodes() {
    const { cache, watch, counter } = this.#parts;
    const { document } = cache().session.view;
    return nodeViews({ document, holdings: this.holdings, health: watch.nodes, counts: counter.counts });
  }

  /** While Redis does not answer, a change that this gateway coordinates is shown without its progress, another one's not at all. */
  async read(): Promise<StateView> {
    const { cache, traffic, namespace } = this.#parts;
    const { view } = cache().session;
    const { epoch, phase, settling } = view.document;
    return {
      namespace,
      epoch,
      phase,
      settling,
      confirmed: view.confirmed,
      observing: this.#parts.observing(),
      nodes: this.nodes,
      migration: await this.#migration(),
      traffic: traffic.totals,
    };
  }

  /** A change that stands in the document comes before one of this gateway that waits for its end: Pause and Abort act on it. */
  async #migration(): Promise<MigrationView | null> {
    const { cache, admin, changes } = this.#parts;
    let own = changes.running;
    if (cache().session.view.document.operation !== null) {
      try {
        const change = await admin.underWay();
        if (change !== undefined) return migrationView(change, Date.now());
      } catch {
        own = changes.coordinated;
      }
    }
    return own === undefined ? null : preparingView(own);
  }
}
