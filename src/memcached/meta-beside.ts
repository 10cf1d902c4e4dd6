/**
 * A link that speaks another protocol, and a meta connection beside it for what that one has no words for (remaining TTLs: pulls, getMeta).
 * An exchange goes over one of the two as a whole, and ends with the get of the fence there.
 */
import type { Command, ConnectionRef, Exchanged } from "./exchange.ts";
import type { Pending, Settle } from "./flush.ts";
import type { NodeLink } from "./link-options.ts";

export class MetaBeside implements NodeLink {
  readonly #main: NodeLink;
  readonly #meta: NodeLink;
  readonly #speaks: (command: Command) => boolean;

  /** @param speaks what the main link has a word for */
  constructor(main: NodeLink, meta: NodeLink, speaks: (command: Command) => boolean) {
    this.#main = main;
    this.#meta = meta;
    this.#speaks = speaks;
  }

  get connection(): ConnectionRef | undefined {
    return this.#main.connection;
  }

  get inFlight(): number {
    return this.#main.inFlight + this.#meta.inFlight;
  }

  get waiting(): number {
    return this.#main.waiting + this.#meta.waiting;
  }

  get down(): boolean {
    return this.#main.down || this.#meta.down;
  }

  submit(commands: readonly Command[], on: ConnectionRef | undefined, settle: Settle, mayFlush?: () => boolean): void {
    this.#pick(commands, on).submit(commands, on, settle, mayFlush);
  }

  enqueue(item: Pending): void {
    this.#pick(item.commands, item.on).enqueue(item);
  }

  exchange(commands: readonly Command[], on?: ConnectionRef, mayFlush?: () => boolean): Promise<Exchanged> {
    return this.#pick(commands, on).exchange(commands, on, mayFlush);
  }

  suspect(): void {
    this.#main.suspect();
    this.#meta.suspect();
  }

  retry(): void {
    this.#main.retry();
    this.#meta.retry();
  }

  expire(nowMs: number): number {
    return Math.min(this.#main.expire(nowMs), this.#meta.expire(nowMs));
  }

  async close(): Promise<void> {
    await Promise.all([this.#main.close(), this.#meta.close()]);
  }

  #pick(commands: readonly Command[], on: ConnectionRef | undefined): NodeLink {
    const overMain = on === undefined ? commands.every(this.#speaks) : this.#meta.connection?.id !== on.id;
    return overMain ? this.#main : this.#meta;
  }
}
