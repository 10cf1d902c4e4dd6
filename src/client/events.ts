/**
 * What can be observed: `diagnostics_channel` tracing channels, which cost nothing while nobody listens, and events on the client.
 * Neither ever carries a value.
 *
 *   ringshift:command     one command            { command, key }
 *   ringshift:batch       one multi form         { command, keys }       keys: how many
 *   ringshift:topology    a new view             { epoch, phase, nodes }                 (a plain channel)
 *   ringshift:migration   a migration begins, ends  { state, epoch }                     (a plain channel)
 *   ringshift:node        a server goes, comes back { node, state, error }               (a plain channel)
 *   ringshift:discovery   the servers are named otherwise than the cluster has them     (a plain channel)
 */
import { channel, type TracingChannel, tracingChannel } from "node:diagnostics_channel";
import { EventEmitter } from "node:events";
import type { DiscoveryEvent } from "../discovery/watch.ts";
import type { RingshiftError } from "../errors.ts";
import type { ClusterState } from "./types.ts";

export interface CommandTrace {
  readonly command: string;
  /** As the caller gave it. */
  readonly key: string;
}

export interface BatchTrace {
  readonly command: string;
  readonly keys: number;
}

export interface NodeEvent {
  readonly node: string;
  readonly error?: RingshiftError | undefined;
}

export interface MigrationEvent {
  /** `begun`: keys have two owners from now on. `ended`: they have one again. */
  readonly state: "begun" | "ended";
  readonly epoch: number;
}

export interface ClientEvents {
  /** A read found a value. */
  hit: [{ readonly key: string }];
  /** A read found none, or its server was away and that counts as a miss (`onNodeDown`). */
  miss: [{ readonly key: string }];
  /** A server does not answer; its keys fail at once until it is back. */
  nodeDown: [NodeEvent];
  nodeUp: [NodeEvent];
  /** The client routes by another topology from now on. */
  topology: [ClusterState];
  migration: [MigrationEvent];
  /** Where the servers are named (`discovery`), they are named otherwise than the cluster has them; or that was applied, or failed. */
  discovery: [DiscoveryEvent];
}

const commands = tracingChannel<unknown, CommandTrace>("ringshift:command");
const batches = tracingChannel<unknown, BatchTrace>("ringshift:batch");
const topologies = channel("ringshift:topology");
const migrations = channel("ringshift:migration");
const nodes = channel("ringshift:node");
const discoveries = channel("ringshift:discovery");

/** Somebody listens to single commands. */
export function tracesCommands(): boolean {
  return commands.hasSubscribers;
}

/** Runs one command, traced where somebody listens. */
export function traceCommand<T>(command: string, key: string, run: () => Promise<T>): Promise<T> {
  return commands.hasSubscribers ? traced(commands, { command, key }, run) : run();
}

/** Runs one multi form, traced where somebody listens. */
export function traceBatch<T>(command: string, keys: number, run: () => Promise<T>): Promise<T> {
  return batches.hasSubscribers ? traced(batches, { command, keys }, run) : run();
}

/** As `tracePromise`, without the result: a value is nobody's business here. */
function traced<T, C extends object>(
  channels: TracingChannel<unknown, C>,
  context: C,
  run: () => Promise<T>,
): Promise<T> {
  const failed = (error: unknown): never => {
    channels.error.publish(Object.assign(context, { error }));
    throw error;
  };
  const settled = (): void => {
    channels.asyncStart.publish(context);
    channels.asyncEnd.publish(context);
  };
  return channels.start.runStores(context, () => {
    try {
      return run().catch(failed).finally(settled);
    } catch (error) {
      return failed(error);
    } finally {
      channels.end.publish(context);
    }
  });
}

/** Tells channels and listeners. An error thrown by a listener is the listener's: it surfaces as uncaught, as a timer's would. */
export class Announcer extends EventEmitter<ClientEvents> {
  /** Somebody listens to `hit` or `miss`. */
  hears = false;

  constructor() {
    super();
    const look = () => {
      this.hears = this.listenerCount("hit") + this.listenerCount("miss") > 0;
    };
    // newListener comes before the listener is added
    super.on("newListener" as never, (() => process.nextTick(look)) as never);
    super.on("removeListener" as never, look as never);
  }

  topology(state: ClusterState): void {
    if (topologies.hasSubscribers) topologies.publish(state);
    this.#safely(() => this.emit("topology", state));
  }

  migration(event: MigrationEvent): void {
    if (migrations.hasSubscribers) migrations.publish(event);
    this.#safely(() => this.emit("migration", event));
  }

  nodeDown(event: NodeEvent): void {
    if (nodes.hasSubscribers) nodes.publish({ ...event, state: "down" });
    this.#safely(() => this.emit("nodeDown", event));
  }

  nodeUp(event: NodeEvent): void {
    if (nodes.hasSubscribers) nodes.publish({ ...event, state: "up" });
    this.#safely(() => this.emit("nodeUp", event));
  }

  discovery(event: DiscoveryEvent): void {
    if (discoveries.hasSubscribers) discoveries.publish(event);
    this.#safely(() => this.emit("discovery", event));
  }

  read(key: string, found: boolean): void {
    this.#safely(() => this.emit(found ? "hit" : "miss", { key }));
  }

  #safely(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
