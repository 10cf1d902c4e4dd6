/**
 * The network between one process and the simulated servers, in the place of `memcached/pool.ts`: a link per server with at most one
 * connection, flushes packed per turn and ended by a get of the fence, replies in order, a time limit per flush, reconnection.
 *
 *   submit ─► queue ─(turn: gate)─► flush ─► on the wire ─► each command a step at the server ─► replies, a step at the process
 *
 * What is on the wire may arrive although nobody waits for it any more: the process died, or has destroyed the connection.
 */
import { RingshiftError } from "../errors.ts";
import { MAX_FLUSH_COMMANDS, metaGet } from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged, FenceReading, Reply } from "../memcached/exchange.ts";
import { readFence } from "../memcached/fence.ts";
import type { Settle } from "../memcached/flush.ts";
import { type Endpoint, ExchangeError, type Transport } from "../memcached/transport.ts";
import type { Owner, Scheduler } from "./scheduler.ts";
import type { SimServer } from "./server.ts";

const FLUSH_TIMEOUT_MS = 1_000;
const BACKOFF_MS = 50;

/** How long things take; drawn anew for each run. */
export interface Weather {
  /** Mean of a packet's way and of a step at a server, ms. */
  readonly mean: number;
  /** Probability that a flush is slow, and by how much at most, ms. */
  readonly slow: number;
  readonly slowMs: number;
}

interface Pending {
  readonly commands: readonly Command[];
  readonly on: ConnectionRef | undefined;
  readonly settle: Settle;
  readonly mayFlush: (() => boolean) | undefined;
  readonly replies: Reply[];
}

interface Flush {
  readonly items: readonly Pending[];
  done: boolean;
}

interface Connection {
  readonly ref: { readonly id: number; incarnation: string | undefined };
  readonly server: SimServer;
  readonly boot: number;
  /** Sent and not answered. */
  readonly flushes: Flush[];
  /** Earliest time for the next step at the server, and for the next reply: order is kept. */
  serverAt: number;
  replyAt: number;
  fence: FenceReading | undefined;
  broken: boolean;
  /** What is still on the wire never arrives. */
  dropped: boolean;
  productive: boolean;
}

/** Looks at the commands of an exchange on their way, and may change them and what comes back: `--without`. */
export type Tamper = (
  node: Endpoint,
  commands: readonly Command[],
) => { readonly commands: readonly Command[]; readonly back: (result: Exchanged) => Exchanged } | undefined;

let connectionIds = 0;

export class SimTransport implements Transport {
  readonly #links = new Map<string, SimLink>();
  readonly #parts: LinkParts;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  link(node: Endpoint): SimLink {
    let link = this.#links.get(node.address);
    if (link === undefined) {
      link = new SimLink(this.#parts, node);
      this.#links.set(node.address, link);
    }
    return link;
  }

  exchange(
    node: Endpoint,
    commands: readonly Command[],
    on?: ConnectionRef,
    mayFlush?: () => boolean,
  ): Promise<Exchanged> {
    return new Promise((resolve, reject) => {
      const settle: Settle = (failure, result) => (failure ? reject(failure) : resolve(result!));
      this.link(node).submit(commands, on, settle, mayFlush);
    });
  }

  /** Not atomic: each key is looked up at a time of its own, in no order. */
  async *dump(node: Endpoint): AsyncIterable<string> {
    const { scheduler, owner, servers, weather } = this.#parts;
    const server = servers.get(node.address)!;
    const wait = () =>
      new Promise<void>((resolve) => scheduler.after(scheduler.random.exponential(weather.mean), owner, resolve));
    await wait();
    if (server.downUntil > scheduler.now || server.stalledUntil > scheduler.now) throw down(node, "no dump");
    const { boot } = server;
    server.expire();
    for (const key of [...server.items.keys()].sort()) {
      await wait();
      if (server.boot !== boot) throw down(node, "the dump broke");
      if (server.items.has(key)) yield key;
    }
    await wait();
  }

  /** Breaks a connection as a cut wire would. True when there was one. */
  cut(address: string): boolean {
    return this.#links.get(address)?.cut() ?? false;
  }

  abandon(): void {
    for (const link of this.#links.values()) link.abandon();
  }

  serverLeft(server: SimServer): void {
    for (const link of this.#links.values()) link.serverLeft(server);
  }

  get addresses(): string[] {
    return [...this.#links.keys()];
  }
}

export interface LinkParts {
  readonly scheduler: Scheduler;
  readonly owner: Owner;
  /** By address. */
  readonly servers: ReadonlyMap<string, SimServer>;
  readonly weather: Weather;
  readonly fenceKey: string;
  /** Rule T: for all exchanges, and for the one that brings its own. */
  readonly mayFlush: (own: (() => boolean) | undefined) => boolean;
  readonly tamper: Tamper | undefined;
  /** Told of each command before it runs. */
  readonly running?: ((node: Endpoint, command: Command) => void) | undefined;
}

/** As `memcached/link.ts`, without the sockets. */
export class SimLink {
  readonly #parts: LinkParts;
  readonly #node: Endpoint;
  readonly #tail: Command;
  #queue: Pending[] = [];
  #scheduled = false;
  #opening = false;
  #connection: Connection | undefined;
  #backoffUntil = 0;

  constructor(parts: LinkParts, node: Endpoint) {
    this.#parts = parts;
    this.#node = node;
    this.#tail = metaGet(parts.fenceKey, "v");
  }

  submit(commands: readonly Command[], on: ConnectionRef | undefined, settle: Settle, mayFlush?: () => boolean): void {
    const { scheduler, owner, tamper } = this.#parts;
    const gone = on !== undefined && this.#connection?.ref.id !== on.id;
    if (gone || scheduler.now < this.#backoffUntil) {
      this.#refuse(settle, gone ? "that connection is gone" : "backing off");
      return;
    }
    if (commands.length >= MAX_FLUSH_COMMANDS) throw new Error(`${commands.length} commands in one exchange`);
    const other = tamper?.(this.#node, commands);
    const back: Settle = other ? (failure, result) => settle(failure, result && other.back(result)) : settle;
    this.#queue.push({ commands: other?.commands ?? commands, on, settle: back, mayFlush, replies: [] });
    if (this.#scheduled) return;
    this.#scheduled = true;
    scheduler.after(0, owner, () => this.#advance());
  }

  cut(): boolean {
    const connection = this.#connection;
    if (connection === undefined) return false;
    this.#broke(connection, "the connection was cut");
    return true;
  }

  /** The process died: what it has sent may arrive, all of it that the wire still carries or nothing. */
  abandon(): void {
    if (this.#connection !== undefined) this.#connection.dropped = this.#parts.scheduler.random.chance(0.5);
  }

  #advance(): void {
    this.#scheduled = false;
    if (this.#queue.length === 0 || this.#opening) return;
    if (this.#connection === undefined) this.#open();
    else this.#pump(this.#connection);
  }

  #open(): void {
    const { scheduler, owner, servers, weather } = this.#parts;
    const server = servers.get(this.#node.address)!;
    this.#opening = true;
    scheduler.after(scheduler.random.exponential(weather.mean), owner, () => {
      this.#opening = false;
      if (server.downUntil > scheduler.now) {
        this.#backoffUntil = scheduler.now + BACKOFF_MS * (0.5 + scheduler.random.next() / 2);
        const failed = this.#queue.splice(0);
        for (const item of failed) item.settle(new ExchangeError(down(this.#node, "refused"), false), undefined);
        return;
      }
      const ref = { id: ++connectionIds, incarnation: undefined };
      const { now } = scheduler;
      const none = { fence: undefined, broken: false, dropped: false, productive: false };
      this.#connection = { ref, server, boot: server.boot, flushes: [], serverAt: now, replyAt: now, ...none };
      this.#advance();
    });
  }

  #pump(connection: Connection): void {
    while (this.#queue.length > 0) {
      const items: Pending[] = [];
      let commands = 1;
      for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
        commands += next.commands.length;
        if (items.length > 0 && commands > MAX_FLUSH_COMMANDS) break;
        items.push(next);
        this.#queue.shift();
      }
      const { mayFlush } = this.#parts;
      const rest: Pending[] = [];
      for (const item of items) {
        if (!mayFlush(item.mayFlush)) item.settle(new ExchangeError(late(this.#node), false, true), undefined);
        else if (item.on === undefined || item.on.id === connection.ref.id) rest.push(item);
        else item.settle(new ExchangeError(down(this.#node, "gone"), false), undefined);
      }
      if (rest.length > 0) this.#write(connection, { items: rest, done: false });
    }
  }

  #write(connection: Connection, flush: Flush): void {
    const { scheduler, owner, weather } = this.#parts;
    const { random } = scheduler;
    connection.flushes.push(flush);
    const slow = random.chance(weather.slow) ? random.next() * weather.slowMs : 0;
    connection.serverAt = Math.max(connection.serverAt, scheduler.now + random.exponential(weather.mean) + slow);
    const steps = flush.items.flatMap((item) => item.commands.map((command) => ({ item, command })));
    for (const { item, command } of steps) {
      this.#step(connection, command, (reply) => item.replies.push(reply));
    }
    this.#step(connection, this.#tail, (reply) => this.#answer(connection, flush, reply));
    scheduler.after(FLUSH_TIMEOUT_MS, owner, () => {
      if (!flush.done && !connection.broken) this.#broke(connection, "no answer in time");
    });
  }

  /** One command at the server. */
  #step(connection: Connection, command: Command, done: (reply: Reply) => void): void {
    const { scheduler, owner, weather, running } = this.#parts;
    const { server } = connection;
    const run = () => {
      if (server.boot !== connection.boot || connection.dropped) return;
      if (server.stalledUntil > scheduler.now) {
        scheduler.at(server.stalledUntil, undefined, run);
        return;
      }
      running?.(this.#node, command);
      const reply = server.execute(command);
      scheduler.note(
        () => `${owner.name}${owner.dead ? " (dead)" : ""} ${server.name} ${show(command)} -> ${showReply(reply)}`,
      );
      done(reply);
    };
    scheduler.at(connection.serverAt, undefined, run);
    connection.serverAt += scheduler.random.exponential(weather.mean / 4);
  }

  #answer(connection: Connection, flush: Flush, last: Reply): void {
    const { scheduler, owner, weather } = this.#parts;
    connection.replyAt = Math.max(connection.replyAt, scheduler.now + scheduler.random.exponential(weather.mean));
    scheduler.at(connection.replyAt, owner, () => {
      if (connection.broken) return;
      flush.done = true;
      connection.productive = true;
      connection.flushes.splice(connection.flushes.indexOf(flush), 1);
      connection.fence = readFence(last, connection.fence);
      connection.ref.incarnation = connection.fence?.number === undefined ? undefined : connection.fence.incarnation;
      for (const { settle, replies } of flush.items) {
        settle(undefined, { replies, fence: connection.fence, connection: connection.ref });
      }
    });
  }

  /** The server went away: a reset reaches the process after a while. */
  serverLeft(server: SimServer): void {
    const { scheduler, owner, weather } = this.#parts;
    const connection = this.#connection;
    if (connection === undefined || connection.server !== server) return;
    scheduler.after(scheduler.random.exponential(weather.mean), owner, () => {
      if (!connection.broken) this.#broke(connection, "reset by the server");
    });
  }

  #broke(connection: Connection, why: string): void {
    connection.broken = true;
    connection.dropped = this.#parts.scheduler.random.chance(0.5);
    if (this.#connection === connection) this.#connection = undefined;
    if (!connection.productive) this.#backoffUntil = this.#parts.scheduler.now + BACKOFF_MS;
    this.#parts.scheduler.note(() => `${this.#parts.owner.name} lost its connection to ${this.#node.name}: ${why}`);
    const failure = new ExchangeError(down(this.#node, why), true);
    for (const { items } of connection.flushes) for (const item of items) item.settle(failure, undefined);
    if (this.#queue.length > 0) this.#advance();
  }

  #refuse(settle: Settle, why: string): void {
    const { scheduler, owner } = this.#parts;
    scheduler.after(0, owner, () => settle(new ExchangeError(down(this.#node, why), false), undefined));
  }
}

function late(node: Endpoint): RingshiftError {
  return new RingshiftError("TIMEOUT", `${node.name}: the topology could not be confirmed in time`);
}

function down(node: Endpoint, why: string): RingshiftError {
  return new RingshiftError("NODE_DOWN", `${node.name}: ${why}`, { node: node.name });
}

function show({ line, data }: Command): string {
  return data === undefined ? line : `${line} "${data.toString("latin1")}"`;
}

function showReply({ status, value, flags, cas, ttl }: Reply): string {
  const shown = [status];
  if (value !== undefined) shown.push(`"${value.toString("latin1")}"`);
  if (flags !== undefined && flags !== 0) shown.push(`f${flags.toString(16)}`);
  if (cas !== undefined) shown.push(`c${cas}`);
  if (ttl !== undefined) shown.push(`t${ttl}`);
  return shown.join(" ");
}
