/**
 * An operator's handle on a cluster: plans and changes, as the command line does them, for programs.
 */
import { type OpenSession, openManaged } from "../client/session.ts";
import type { TopologyDocument } from "../topology/document.ts";
import { Lease } from "../topology/lease.ts";
import { namespaceOf } from "../topology/namespace.ts";
import type { RedisStore } from "../topology/redis-store.ts";
import { applyChange, type Change } from "./change.ts";
import { type ChangeOptions, Coordinator } from "./coordinator.ts";
import { makePlan, type Plan } from "./plan.ts";
import { checkServer, type PrepareOptions, requireEmpty } from "./prepare.ts";
import type { ChangeReport } from "./progress.ts";

export interface AdminOptions {
  /** URL of Redis. */
  readonly redis: string;
  readonly namespace?: string | undefined;
}

export class Admin {
  readonly #open: OpenSession;
  readonly #store: RedisStore;

  /** Use `openAdmin`. */
  constructor(open: OpenSession, store: RedisStore) {
    this.#open = open;
    this.#store = store;
  }

  /** The topology document as Redis has it. @throws RingshiftError REDIS_UNREACHABLE */
  async topology(): Promise<TopologyDocument> {
    return (await this.#open.session.look()).document;
  }

  /** False after a restart or fail-over of Redis, until the clients have confirmed the document. */
  get confirmed(): boolean {
    return this.#open.session.view.confirmed;
  }

  /** What the change would move. Changes nothing. @throws RingshiftError as `apply` does before it changes anything */
  async plan(change: Change, options: PrepareOptions = {}): Promise<Plan> {
    const document = await this.topology();
    const { nodes } = applyChange(document, change);
    const { namespace, transport } = this.#open.session;
    for (const node of nodes) {
      if (document.nodes.some((other) => other.index === node.index)) continue;
      const probe = await checkServer(node, options);
      if (!options.flush) await requireEmpty(namespace, node, probe, options, transport);
    }
    return makePlan(this.#store, document, nodes);
  }

  /**
   * Carries the change through, or carries on with the same change that was interrupted. Reads and writes go on meanwhile.
   * @throws RingshiftError; the cluster is unchanged unless the code is MIGRATION_STOPPED or WOULD_NOT_FIT: then the same call resumes
   */
  async apply(change: Change, options: ChangeOptions = {}): Promise<ChangeReport> {
    await this.#store.checkEviction();
    const waiting = (holder: string) => options.onProgress?.({ step: "waiting", reason: `the lease of ${holder}` });
    const lease = await Lease.take(this.#store, waiting);
    try {
      return await new Coordinator(this.#open.session, this.#store, options).run(change);
    } finally {
      await lease.release();
    }
  }

  /** Index entries per point of the present ring, in the order of its points. */
  async counts(points: readonly number[]): Promise<number[]> {
    return this.#store.counts(this.#open.session.view.document.generation, points);
  }

  async close(): Promise<void> {
    await this.#open.close();
  }
}

/** @throws RingshiftError NOT_INITIALISED, REDIS_UNREACHABLE */
export async function openAdmin(options: AdminOptions): Promise<Admin> {
  const open = await openManaged({ redis: options.redis, namespace: namespaceOf(options.namespace), caretaker: true });
  return new Admin(open, open.store!);
}
