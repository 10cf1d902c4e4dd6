/**
 * An operator's handle on a cluster: plans and changes, as the command line does them, for programs.
 */
import { type OpenSession, openManaged } from "../client/session.ts";
import { invalidOption, isRingshiftError, RingshiftError } from "../errors.ts";
import { requireKnown, requireMilliseconds } from "../known-options.ts";
import { checkAccess, type ServerAccess } from "../memcached/access.ts";
import { DirtyKeys } from "../topology/dirty-keys.ts";
import type { TopologyDocument } from "../topology/document.ts";
import { isGone, Lease } from "../topology/lease.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { OPERATOR_TIMEOUT_MS } from "../topology/redis-connection.ts";
import type { RedisStore } from "../topology/redis-store.ts";
import { markDead } from "./abandon.ts";
import { type AbortReport, abortChange, isAborting } from "./abort.ts";
import { applyChange, type Change, checkChange, deadNames } from "./change.ts";
import { checkChangeOptions } from "./change-options.ts";
import { Obedience, pause, unpause } from "./control.ts";
import { type ChangeOptions, Coordinator, type CoordinatorOptions } from "./coordinator.ts";
import { requireDown } from "./dead.ts";
import { requireOthers } from "./one-server.ts";
import { makePlan, type Plan } from "./plan.ts";
import { checkServer, type PrepareOptions, requireEmpty } from "./prepare.ts";
import type { ChangeReport, OnProgress } from "./progress.ts";
import { type RecoveryReport, recover } from "./recover.ts";
import { type ReindexReport, reindex } from "./reindex.ts";
import { checkRoom } from "./room.ts";
import { type SweepReport, sweep } from "./sweep.ts";
import { type UnderWay, underWayOf } from "./under-way.ts";
import { type VerifyOptions, type VerifyReport, verify } from "./verify.ts";

export interface AdminOptions {
  /** URL of Redis. */
  readonly redis: string;
  readonly namespace?: string | undefined;
  /** As the clients' options of these names. */
  readonly tls?: ServerAccess["tls"];
  readonly auth?: ServerAccess["auth"];
  /**
   * A connection to a server that does not come about, or does not answer a flush, within this is given up, in ms. Default 1000; more for slow
   * networks and crowded machines.
   */
  readonly ioTimeoutMs?: number | undefined;
}

/** Unknown options are passed over: a program gives its client and its handle the same ones. */
function checkAdminOptions(options: AdminOptions): void {
  if (typeof options?.redis !== "string" || options.redis === "") {
    throw invalidOption('openAdmin needs redis, a URL: { redis: "redis://127.0.0.1:6379" }.');
  }
  checkAccess(options);
  requireMilliseconds("ioTimeoutMs", options.ioTimeoutMs);
}

export class Admin {
  readonly #open: OpenSession;
  readonly #store: RedisStore;
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;

  /** Use `openAdmin`. */
  constructor(open: OpenSession, store: RedisStore) {
    this.#open = open;
    this.#store = store;
  }

  /** The topology document as Redis has it. @throws RingshiftError REDIS_UNREACHABLE */
  async topology(): Promise<TopologyDocument> {
    this.#requireOpen();
    return (await this.#open.session.look()).document;
  }

  /** False after a restart or fail-over of Redis, until the clients have confirmed the document. */
  get confirmed(): boolean {
    return this.#open.session.view.confirmed;
  }

  /** What the change would move. Changes nothing. @throws RingshiftError as `apply` does before it changes anything */
  async plan(change: Change, options: PrepareOptions = {}): Promise<Plan> {
    this.#requireOpen();
    checkChange(change);
    checkChangeOptions("plan", options);
    await this.#store.checkEviction();
    const document = await this.topology();
    const { nodes } = applyChange(document, change);
    const { namespace, transport } = this.#open.session;
    await requireDown(this.#open.session, document, deadNames(change));
    const joining = nodes.filter((node) => !document.nodes.some((other) => other.index === node.index));
    const probes = await Promise.all(
      joining.map((node) => checkServer(node, { access: transport.access, ...options })),
    );
    await requireOthers(transport, namespace, joining, document.nodes);
    for (const [i, node] of joining.entries()) {
      if (!options.flush) await requireEmpty(namespace, node, probes[i]!, options, transport);
    }
    const plan = await makePlan(this.#store, document, nodes);
    if (!options.force) await checkRoom(plan, { ...document, dead: deadNames(change) }, transport.access);
    return plan;
  }

  /**
   * Carries the change through, or carries on with the same change that was interrupted. Reads and writes go on meanwhile.
   * @throws RingshiftError; the cluster is unchanged unless the code is MIGRATION_STOPPED or WOULD_NOT_FIT, or it is UNCONFIRMED after Redis has
   * failed over under way: then the same call resumes
   */
  async apply(change: Change, options: ChangeOptions = {}): Promise<ChangeReport> {
    this.#requireOpen();
    checkChange(change);
    checkChangeOptions("apply", options);
    await this.#store.checkEviction();
    return this.#changing(options, () => this.#coordinator(options).run(change));
  }

  /** The copiers of the change under way stand still, in every process; clients still pull what they touch. @throws RingshiftError */
  async pause(): Promise<void> {
    await pause(this.#store, await this.topology());
  }

  /**
   * They go on; where no process carries the change on (or its abort), this one does.
   * @returns what was done here; undefined when another process goes on, or nothing is unfinished
   * @throws RingshiftError as `apply`
   */
  async resume(options: ChangeOptions = {}): Promise<ChangeReport | undefined> {
    this.#requireOpen();
    checkChangeOptions("resume", options);
    await unpause(this.#store);
    if (isAborting(await this.#store.readControl(), await this.topology())) return (await this.abort(options)).change;
    if (await this.#isCoordinated()) return undefined;
    return this.#changing(options, () => this.#coordinator(options).resume());
  }

  /**
   * Gives the old ring back with everything readable: at once before keys move, else by going forward and then back.
   * @throws RingshiftError INVALID_OPTION when no change is under way, LAST_NODE when no node of the old ring lives, MIGRATION_STOPPED when another
   * change has come in between; else as `apply`, and the same call resumes
   */
  async abort(options: ChangeOptions = {}): Promise<AbortReport> {
    this.#requireOpen();
    checkChangeOptions("abort", options);
    const leased = <T>(work: () => Promise<T>) => this.#changing(options, work);
    return abortChange(this.#open.session, this.#store, this.#coordination(options), leased);
  }

  /**
   * Gives up a server that has died while keys were moving from it or to it, and carries the change on where no other process does. The keys
   * that were there are lost; the report counts them. A destination leaves the new ring.
   * @throws RingshiftError INVALID_OPTION when the server answers, nothing moves from or to it, or (compat rings) other nodes would own other keys
   * without it; LAST_NODE; else as `apply`
   */
  async abandon(name: string, options: ChangeOptions = {}): Promise<ChangeReport | undefined> {
    this.#requireOpen();
    checkChangeOptions("abandon", options);
    await markDead(this.#open.session, this.#store, name);
    if (await this.#isCoordinated()) return undefined;
    return this.#changing(options, () => this.#coordinator(options).resume());
  }

  /**
   * Decides for a topology that Redis has forgotten a part of while a server remembers: deletes this cluster's keys on the servers with a
   * newer or missing fence. @throws RingshiftError INVALID_OPTION when there is nothing to decide, NODE_DOWN
   */
  async confirm(onProgress: OnProgress = () => {}): Promise<RecoveryReport> {
    this.#requireOpen();
    return this.#leased({ onProgress }, () => recover(this.#open.session, this.#store, onProgress));
  }

  /** Compares the index with the servers. @throws RingshiftError MIGRATION_RUNNING while keys have two owners */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    this.#requireOpen();
    requireKnown("verify", options, ["full", "fix", "onProgress"] satisfies (keyof VerifyOptions)[]);
    await this.#store.checkEviction();
    const work = () => verify(this.#open.session, this.#store, options);
    return options.fix ? this.#leased(options, work) : work();
  }

  /** Reads a server and lists every key of it. @throws RingshiftError NODE_UNKNOWN, NODE_DOWN, MIGRATION_RUNNING */
  async reindex(name: string, onProgress: OnProgress = () => {}): Promise<ReindexReport> {
    this.#requireOpen();
    await this.#store.checkEviction();
    return this.#leased({ onProgress }, () => reindex(this.#open.session, this.#store, name, onProgress));
  }

  /** Makes the index anew from the live keys alone. @throws RingshiftError NODE_DOWN, MIGRATION_RUNNING; the same call carries on */
  async sweep(onProgress: OnProgress = () => {}): Promise<SweepReport> {
    this.#requireOpen();
    await this.#store.checkEviction();
    return this.#leased({ onProgress }, () => sweep(this.#open.session, this.#store, onProgress));
  }

  /** An abort was interrupted between its way forward and its way back: `abort` or `resume` carries it on. @throws RingshiftError REDIS_UNREACHABLE */
  async abortPending(): Promise<boolean> {
    const document = await this.topology();
    return document.phase === "S" && isAborting(await this.#store.readControl(), document);
  }

  /** The change under way and how far it is; undefined when there is none. @throws RingshiftError REDIS_UNREACHABLE */
  async underWay(): Promise<UnderWay | undefined> {
    return underWayOf(this.#store, await this.topology());
  }

  /** Index entries per point of the present ring, in the order of its points. */
  async counts(points: readonly number[]): Promise<number[]> {
    this.#requireOpen();
    return this.#store.counts(this.#open.session.view.document.generation, points);
  }

  /** What is under way ends with an error; later calls reject with CLOSED. */
  close(): Promise<void> {
    this.#closed.abort();
    this.#closing ??= this.#open.close();
    return this.#closing;
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new RingshiftError("CLOSED", "The handle was closed by close().");
  }

  /** Some process that is alive, as far as can be told from here, works on the cluster. */
  async #isCoordinated(): Promise<boolean> {
    const holder = await this.#store.leaseHolder();
    return holder !== null && !isGone(holder);
  }

  #coordinator(options: ChangeOptions): Coordinator {
    return new Coordinator(this.#open.session, this.#store, this.#coordination(options));
  }

  #coordination(options: ChangeOptions): CoordinatorOptions {
    const { onProgress: report = () => {}, signal } = options;
    const { clock } = this.#open.session;
    const obedience = new Obedience({ store: this.#store, clock, report, signal, closed: this.#closed.signal });
    return {
      ...options,
      checkPlan: options.force ? undefined : (plan, document) => checkRoom(plan, document, this.#open.pool.access),
      obey: (operation) => obedience.obey(operation),
    };
  }

  #changing<T>(options: ChangeOptions, work: () => Promise<T>): Promise<T> {
    return this.#leased(options, async () => {
      const done = await work();
      await this.#forgetLeft();
      return done;
    });
  }

  /** What clients list for a server that has left (client/rejoin.ts) is of no use any more. Where it fails, the next change does it. */
  async #forgetLeft(): Promise<void> {
    try {
      const { document, confirmed } = await this.#open.session.look();
      if (confirmed) await new DirtyKeys(this.#store, this.#open.session.namespace).keepOnly(document);
    } catch (error) {
      if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
    }
  }

  async #leased<T>({ onProgress }: Pick<ChangeOptions, "onProgress">, work: () => Promise<T>): Promise<T> {
    const waiting = (holder: string) => onProgress?.({ step: "waiting", reason: `the lease of ${holder}` });
    const lease = await Lease.take(this.#store, waiting);
    try {
      onProgress?.({ step: "coordinating" });
      return await work();
    } finally {
      await lease.release();
    }
  }
}

/** @throws RingshiftError NOT_INITIALISED, REDIS_UNREACHABLE, INVALID_OPTION */
export async function openAdmin(options: AdminOptions): Promise<Admin> {
  checkAdminOptions(options);
  const { redis, tls, auth, ioTimeoutMs } = options;
  const access = { tls, auth };
  const open = await openManaged({
    redis,
    namespace: namespaceOf(options.namespace),
    access,
    connectTimeoutMs: ioTimeoutMs,
    ioTimeoutMs,
    caretaker: true,
    redisTimeoutMs: OPERATOR_TIMEOUT_MS,
  });
  return new Admin(open, open.store!);
}
