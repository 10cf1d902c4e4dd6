/**
 * A link between one process and one simulated server, in the place of `memcached/link.ts`: at most one connection, flushes packed per turn
 * and ended by a get of the fence, replies in order, a time limit per flush, reconnection.
 *
 *   submit ─► queue ─(turn: gate)─► flush ─► on the wire ─► each command a step at the server ─► replies, a step at the process
 *
 * What is on the wire may arrive although nobody waits for it any more: the process died, or has destroyed the connection.
 */
import { RingshiftError } from "../errors.ts";
import { MAX_FLUSH_COMMANDS, metaGet } from "../memcached/commands.ts";
import type { Command, ConnectionRef, FenceReading, Reply } from "../memcached/exchange.ts";
import { readFence } from "../memcached/fence.ts";
import type { Pending as QueueEntry, Settle } from "../memcached/flush.ts";
import { type Endpoint, ExchangeError } from "../memcached/transport.ts";
import type { LinkParts } from "./network.ts";
import type { Event } from "./scheduler.ts";
import type { SimServer } from "./server.ts";

const FLUSH_TIMEOUT_MS = 1_000;
const BACKOFF_MS = 50;

interface Pending {
  readonly commands: readonly Command[];
  readonly on: ConnectionRef | undefined;
  readonly settle: Settle;
  readonly mayFlush: (() => boolean) | undefined;
  readonly replies: Reply[];
  readonly submittedAt: number;
  readonly expire: QueueEntry["expire"];
}

interface Flush {
  readonly items: readonly Pending[];
  writtenAt: number;
  /** Its time limit. */
  limit: Event | undefined;
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
  /** Written behind a flush that stays on the wire, that one included. */
  held: Flush[] | undefined;
}

let connectionIds = 0;

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

  submit(
    commands: readonly Command[],
    ref: ConnectionRef | undefined,
    settle: Settle,
    mayFlush?: () => boolean,
    expire?: QueueEntry["expire"],
  ): void {
    const { scheduler, owner, tamper, anyConnection, submitted } = this.#parts;
    const on = anyConnection ? undefined : ref;
    const gone = on !== undefined && this.#connection?.ref.id !== on.id;
    if (gone || scheduler.now < this.#backoffUntil) {
      this.#refuse(settle, gone ? "that connection is gone" : "backing off");
      return;
    }
    if (commands.length >= MAX_FLUSH_COMMANDS) throw new Error(`${commands.length} commands in one exchange`);
    const other = tamper?.(this.#node, commands);
    const back: Settle = other ? (failure, result) => settle(failure, result && other.back(result)) : settle;
    const submittedAt = scheduler.now;
    const sent = other?.commands ?? commands;
    this.#queue.push({ commands: sent, on, settle: back, mayFlush, replies: [], submittedAt, expire });
    submitted(commands);
    if (this.#scheduled) return;
    this.#scheduled = true;
    scheduler.after(0, owner, () => this.#advance());
  }

  /** As `submit`. */
  enqueue(item: QueueEntry): void {
    const mayFlush = item.mayFlush && (() => item.mayFlush!());
    const expire = item.expire && ((nowMs: number, sent: boolean) => item.expire!(nowMs, sent));
    this.submit(item.commands, item.on, (failure, result) => item.settle(failure, result), mayFlush, expire);
  }

  expire(nowMs: number): number {
    const ends = this.#queue.map((item) => item.expire?.(nowMs, false));
    for (const { items } of this.#connection?.flushes ?? []) {
      for (const item of items) ends.push(item.expire?.(nowMs, true));
    }
    return Math.min(...ends.map((end) => end ?? Number.POSITIVE_INFINITY));
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
      if (server.isDownFor(owner)) {
        this.#backoffUntil = scheduler.now + BACKOFF_MS * (0.5 + scheduler.random.next() / 2);
        const failed = this.#queue.splice(0);
        for (const item of failed) item.settle(new ExchangeError(down(this.#node, "refused"), false), undefined);
        return;
      }
      const ref = { id: ++connectionIds, incarnation: undefined };
      const { now } = scheduler;
      const none = { fence: undefined, broken: false, dropped: false, productive: false, held: undefined };
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
      if (rest.length > 0) this.#write(connection, { items: rest, writtenAt: 0, limit: undefined });
    }
  }

  #write(connection: Connection, flush: Flush): void {
    const { scheduler, owner, holds, publication } = this.#parts;
    connection.flushes.push(flush);
    flush.writtenAt = scheduler.now;
    flush.limit = scheduler.after(FLUSH_TIMEOUT_MS, owner, () => {
      if (!connection.broken) this.#broke(connection, "no answer in time");
    });
    if (connection.held !== undefined) {
      connection.held.push(flush);
      return;
    }
    const { items } = flush;
    const ms = holds(items.length === 1 ? items[0]!.commands : items.flatMap((item) => item.commands));
    if (ms === 0) {
      this.#transmit(connection, flush);
      return;
    }
    scheduler.note(() => `${owner.name} sends to ${this.#node.name}, which stays on the wire`);
    connection.held = [flush];
    publication(ms, () => {
      const held = connection.held!;
      connection.held = undefined;
      for (const one of held) this.#transmit(connection, one);
    });
  }

  #transmit(connection: Connection, flush: Flush): void {
    const { scheduler, weather } = this.#parts;
    const { random } = scheduler;
    const slow = random.chance(weather.slow) ? random.next() * weather.slowMs : 0;
    connection.serverAt = Math.max(connection.serverAt, scheduler.now + random.exponential(weather.mean) + slow);
    for (const { commands, replies, submittedAt } of flush.items) {
      const done = (reply: Reply) => replies.push(reply);
      for (const command of commands) this.#step(connection, flush.writtenAt, command, done, submittedAt);
    }
    this.#step(connection, flush.writtenAt, this.#tail, (reply) => this.#answer(connection, flush, reply));
  }

  /** One command at the server. */
  #step(
    connection: Connection,
    writtenAt: number,
    command: Command,
    done: (reply: Reply) => void,
    submittedAt = 0,
  ): void {
    const { scheduler, owner, weather, running, ran, mayArrive } = this.#parts;
    const { server } = connection;
    const run = () => {
      if (server.boot !== connection.boot || connection.dropped) return;
      if (server.stalledUntil > scheduler.now) {
        scheduler.at(server.stalledUntil, undefined, run);
        return;
      }
      if (!mayArrive(writtenAt)) {
        connection.dropped = true;
        return;
      }
      running(this.#node, command, submittedAt);
      const reply = server.execute(command);
      if (scheduler.trace !== undefined) {
        const who = `${owner.name}${owner.dead ? " (dead)" : ""}`;
        scheduler.note(() => `${who} ${server.name} ${show(command)} -> ${showReply(reply)}`);
      }
      done(reply);
      ran(this.#node, command, reply);
    };
    scheduler.at(connection.serverAt, undefined, run);
    connection.serverAt += scheduler.random.exponential(weather.mean / 4);
  }

  #answer(connection: Connection, flush: Flush, last: Reply): void {
    const { scheduler, owner, weather } = this.#parts;
    connection.replyAt = Math.max(connection.replyAt, scheduler.now + scheduler.random.exponential(weather.mean));
    scheduler.at(connection.replyAt, owner, () => {
      if (connection.broken) return;
      scheduler.cancel(flush.limit!);
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

export function down(node: Endpoint, why: string): RingshiftError {
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
