/**
 * One process of a run: the product's Session, Recorder and caretaker over a simulated network and Redis, kept up by heartbeats and
 * announcements as `client/session.ts` keeps them up over real ones.
 */
import { isRingshiftError } from "../errors.ts";
import { RecordedKeys } from "../keyindex/recorded-keys.ts";
import { Recorder } from "../keyindex/recorder.ts";
import type { Command } from "../memcached/exchange.ts";
import { caretake } from "../protocol/caretaker.ts";
import type { Clock } from "../protocol/clock.ts";
import { Session } from "../protocol/session.ts";
import { View } from "../protocol/view.ts";
import { SimTransport } from "./network.ts";
import type { Owner } from "./scheduler.ts";
import { EPOCH_SECONDS } from "./server.ts";
import { SimStore } from "./store.ts";
import { rulesOff } from "./without.ts";
import type { World } from "./world.ts";

const HEARTBEAT_MS = 1_000;

export class SimProcess implements Owner {
  readonly name: string;
  pausedUntil = 0;
  dead = false;
  /** Another process has been started in its place, or none will be. */
  replaced = false;
  readonly world: World;
  readonly clock: Clock;
  readonly store: SimStore;
  readonly transport: SimTransport;
  /** Keys that this process deletes for a caller right now: any other unconditional `md` counts as eviction. */
  readonly deleting = new Map<string, number>();
  /** Keys that this process reads for a caller right now, for `--without nopull`. */
  readonly reading = new Map<string, number>();
  #session: Session | undefined;
  #beat: (() => void) | undefined;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    const { scheduler, redis, weather } = world;
    this.clock = clockOf(world, this);
    this.store = new SimStore({ scheduler, owner: this, redis, weather });
    const off = rulesOff(world.without, this);
    this.transport = new SimTransport({
      scheduler,
      owner: this,
      servers: world.servers,
      weather,
      fenceKey: world.namespace.fenceKey,
      mayFlush: (own) => off.gate || ((this.#session?.gateOpen() ?? true) && (own?.() ?? true)),
      tamper: off.tamper,
      running: (node, command) => this.#running(node.name, command),
    });
    world.processes.push(this);
  }

  get session(): Session {
    return this.#session!;
  }

  get opened(): boolean {
    return this.#session !== undefined;
  }

  /** Runs `work` in this process, from an event of its own. An error that the product lets through ends the run. */
  start(work: () => Promise<void>): void {
    const { scheduler } = this.world;
    scheduler.after(0, this, () => {
      work().catch((error: unknown) => scheduler.fail(error));
    });
  }

  /** The first view, then heartbeats. */
  async open(): Promise<Session> {
    const { namespace, without } = this.world;
    const view = await this.#firstView();
    const turn = () => new Promise<void>((resolve) => this.world.scheduler.after(0, this, resolve));
    const off = rulesOff(without, this);
    const store = off.store(this.store);
    this.#session = new Session(
      {
        namespace,
        transport: this.transport,
        store,
        clock: this.clock,
        recorder: new Recorder(store, new RecordedKeys(), turn),
      },
      view,
    );
    off.session(this.#session);
    this.#keepUp(this.#session, store);
    return this.#session;
  }

  /** A new document was published. */
  announced(): void {
    const { scheduler, weather } = this.world;
    const beat = this.#beat;
    if (beat === undefined || this.store.cutUntil > scheduler.now) return;
    scheduler.after(scheduler.random.exponential(weather.mean), this, beat);
  }

  crash(): void {
    this.dead = true;
    this.transport.abandon();
  }

  async #firstView(): Promise<View> {
    for (;;) {
      const askedAt = this.clock.now();
      try {
        const { document, runId } = await this.store.read();
        if (document !== null) return new View(document, runId, askedAt);
      } catch (error) {
        if (!isRingshiftError(error)) throw error;
      }
      await this.clock.sleep(50);
    }
  }

  /** As `keepUp` of client/session.ts. */
  #keepUp(session: Session, store: SimStore): void {
    const clientId = this.clock.randomId();
    let beating: Promise<void> | undefined;
    let again = false;
    const beat = (): Promise<void> => {
      if (beating !== undefined) {
        again = true;
        return beating;
      }
      beating = heartbeat(session, store, clientId).finally(() => {
        beating = undefined;
        if (!again) return;
        again = false;
        void beat();
      });
      return beating;
    };
    session.onDrained = () => void beat();
    this.#beat = () => void beat();
    const tick = () => {
      this.world.scheduler.after(HEARTBEAT_MS, this, tick);
      beat()
        .then(() => caretake(session, store))
        .catch((error: unknown) => this.world.scheduler.fail(error));
    };
    this.world.scheduler.after(HEARTBEAT_MS * this.clock.random(), this, tick);
    void beat();
  }

  /** While the document is unconfirmed, `confirm` deletes what stands on servers without a fence: that counts as eviction. */
  #running(node: string, { line }: Command): void {
    if (!line.startsWith("md ") || !this.opened || this.session.view.confirmed) return;
    const [, key = "", cas] = line.split(" ");
    const item = this.world.server(node).items.get(key);
    if (item === undefined || (cas !== undefined && cas !== `C${item.cas}`)) return;
    this.world.lost(node, key, item);
  }
}

async function heartbeat(session: Session, store: SimStore, clientId: string): Promise<void> {
  const askedAt = session.clock.now();
  const registration = { clientId, acknowledged: session.acknowledged };
  try {
    const seen = await store.heartbeat(registration, session.view.document.id);
    await session.observe(seen.document, seen.runId, askedAt);
  } catch (error) {
    if (!isRingshiftError(error)) throw error;
    if (error.code === "REDIS_UNREACHABLE") session.redisFailed();
    else session.refuse(error);
  }
}

function clockOf({ scheduler, random }: World, owner: Owner): Clock {
  const half = () =>
    Math.floor(random.next() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return {
    now: () => scheduler.now,
    epochSeconds: () => EPOCH_SECONDS + Math.floor(scheduler.now / 1000),
    sleep: (ms) => new Promise((resolve) => scheduler.after(ms, owner, resolve)),
    random: () => random.next(),
    randomId: () => half() + half(),
  };
}
