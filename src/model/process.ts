/**
 * One process of a run: the product's Session, Recorder and caretaker over a simulated network and Redis, kept up by heartbeats and
 * announcements as `client/session.ts` keeps them up over real ones.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { Recorder } from "../keyindex/recorder.ts";
import { PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Command } from "../memcached/exchange.ts";
import type { Endpoint } from "../memcached/transport.ts";
import { caretake } from "../protocol/caretaker.ts";
import type { Clock } from "../protocol/clock.ts";
import { heartbeat } from "../protocol/heartbeat.ts";
import { Session, type SessionParts } from "../protocol/session.ts";
import { View } from "../protocol/view.ts";
import { SimTransport } from "./network.ts";
import { addressOf } from "./plan.ts";
import type { Owner } from "./scheduler.ts";
import { EPOCH_SECONDS, type Item } from "./server.ts";
import type { SimStore } from "./store.ts";
import { TtlWatch } from "./ttl.ts";
import { recordedOf, storeOf, tamperOf, withoutRules } from "./without/process.ts";
import type { World } from "./world.ts";

const HEARTBEAT_MS = 1_000;

/** After the last sign of life a process stays registered for at least this, ms. */
const REGISTERED_MS = 4_000;

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
  /** Keys that this process reads for a caller right now. */
  readonly reading = new Map<string, number>();
  /** A client's, not an operator's. */
  readonly isCaller: boolean = false;
  /** For `--without w-plantrun`: the next read of the document is that of a planter. */
  planting = false;
  /** What it deletes now counts as eviction. */
  protected evicting = false;
  readonly #ttl = new TtlWatch();
  /** What a new owner could not store, by key, as far as this process tried. */
  readonly #refused = new Map<string, Item>();
  /** Sent while the document was unconfirmed, and maybe run after it was confirmed by somebody else. */
  readonly #unconfirmed = new WeakSet<Command>();
  #session: Session | undefined;
  #beat: (() => void) | undefined;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    const { scheduler, redis, weather } = world;
    this.clock = clockOf(world, this);
    const published = () => world.ambushes.published(this);
    const off = world.without;
    this.store = storeOf({ scheduler, owner: this, redis, weather, published }, off, this);
    this.transport = new SimTransport({
      scheduler,
      owner: this,
      servers: world.servers,
      weather,
      fenceKey: world.namespace.fenceKey,
      mayFlush: (own) => off.has("nogate") || ((this.#session?.gateOpen() ?? true) && (own?.() ?? true)),
      tamper: tamperOf(off, this),
      anyConnection: off.has("w-tok"),
      holds: (commands) => (this.isCaller && stores(commands) ? world.holds() : 0),
      mayArrive: (writtenAt) =>
        world.scheduler.now - writtenAt < REGISTERED_MS ||
        !(this.dead || this.pausedUntil > writtenAt || this.store.cutUntil > writtenAt),
      submitted: (commands) => {
        if (this.opened && !this.session.view.confirmed) for (const command of commands) this.#unconfirmed.add(command);
        if (this.isCaller && stores(commands)) world.delay(this);
      },
      publication: (ms, then) => world.publications(world.random.int(1, 4), ms, then),
      running: (node, command, submittedAt) => this.#running(node.name, command, submittedAt),
      ran: (node, command, reply) => {
        world.storedAlone(node.name, command);
        world.ambushes.ran(this, node.name, command, reply);
      },
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
    const { store } = this;
    this.#session = new Session(
      {
        namespace,
        transport: this.transport,
        store,
        clock: this.clock,
        recorder: new Recorder(store, recordedOf(without), turn),
        limits: limitsOf(this.world),
      },
      view,
    );
    withoutRules(without, this.#session, this);
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

  /** Its connection to a server breaks, in an event of its own. */
  cut(server: string): void {
    this.world.scheduler.after(0, this, () => this.transport.cut(addressOf(server)));
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
      beating = heartbeat(session, clientId).finally(() => {
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

  #running(node: string, command: Command, submittedAt: number): void {
    const { world } = this;
    const server = world.server(node);
    const grown = this.#ttl.running(server, command, submittedAt, world.scheduler.now);
    if (grown !== undefined) world.faults.push(grown);
    const { line, data } = command;
    const [verb, key = "", cas] = line.split(" ", 3);
    if (verb === "cas" && data!.length > server.itemLimit) {
      this.#refused.set(key, { value: data!, flags: Number(cas), expiresAt: 0, cas: 0 });
    }
    if (verb !== "md" || !this.opened) return;
    const item = server.items.get(key);
    if (item === undefined || (cas !== undefined && cas !== `C${item.cas}`)) return;
    if (this.#unconfirmed.has(command) || this.#countsAsEviction(node, key, item)) world.lost(node, key, item);
    else if (this.#drops(node, key)) {
      const refused = this.#refused.get(key); // a late write may stand over it by now, and takes effect no more than it does
      if (refused !== undefined) world.lost(node, key, refused);
    }
  }

  /**
   * Of a delete that no caller asked for: while the document is unconfirmed, `confirm` deletes what stands on servers without a fence, as
   * `recover` does where one is newer; and a pull drops what the new owner cannot store.
   */
  #countsAsEviction(node: string, key: string, item: Item): boolean {
    if (this.evicting || !this.session.view.confirmed) return true;
    return (
      this.#drops(node, key) && item.value.length > this.world.server(this.session.view.route(key).node.name).itemLimit
    );
  }

  /** A delete at this server, in D, would leave the key without a value at either owner. */
  #drops(node: string, key: string): boolean {
    const { view } = this.session;
    if (view.document.phase !== "D") return false;
    const { moving, source, node: target } = view.route(key);
    if (!moving || source!.name !== node) return false;
    const there = this.world.server(target.name).items.get(key);
    return there === undefined || there.flags === PLACEHOLDER_FLAGS;
  }
}

/** A caller's unconditional store is among them. */
function stores(commands: readonly Command[]): boolean {
  return commands.some(({ line }) => line.startsWith("ms ") && !line.includes(" C"));
}

/** As `memcached/item-limits.ts` with every server's answer at hand. */
function limitsOf(world: World): SessionParts["limits"] {
  const fits = (node: Endpoint, bytes: number) => bytes <= world.server(node.name).itemLimit;
  return {
    fits: (node, _, bytes) => fits(node, bytes),
    check: (node, _, bytes) => {
      if (!fits(node, bytes)) throw new RingshiftError("VALUE_TOO_LARGE", `${bytes} bytes`, { node: node.name });
      return undefined;
    },
    evicts: async () => world.random.chance(0.5), // what says no is asked in the longer way, and both have to do
  };
}

/** After so many equal sleeps in a row a poll is stretched: a process may be slow, and a long wait costs few events. */
const POLLS = 8;
const STRETCH = 12;

function clockOf({ scheduler, random }: World, owner: Owner): Clock {
  let [last, equal] = [0, 0];
  const stretched = (ms: number) => {
    equal = ms === last ? equal + 1 : 0;
    last = ms;
    return equal < POLLS ? ms : ms * STRETCH;
  };
  const half = () =>
    Math.floor(random.next() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return {
    now: () => scheduler.now,
    epochSeconds: () => EPOCH_SECONDS + Math.floor(scheduler.now / 1000),
    sleep: (ms) => new Promise((resolve) => scheduler.after(stretched(ms), owner, resolve)),
    random: () => random.next(),
    randomId: () => half() + half(),
  };
}
