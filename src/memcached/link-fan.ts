/**
 * Several links to one server, for who wants more than one connection there. A key always goes over the same one:
 *
 *     submit(commands) ── key of the last command ── hash ──► link 0 ─► connection
 *                      └─ `on` a connection ───────────────► the link that has it
 *
 * Each has its own queue, back-off and probes. The server is down while one of them finds it down.
 */
import type { Command, ConnectionRef, Exchanged } from "./exchange.ts";
import type { Pending, Settle } from "./flush.ts";
import type { NodeLink } from "./link-options.ts";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class LinkFan implements NodeLink {
  readonly #links: readonly NodeLink[];

  /** @param links one or more, all to the same server */
  constructor(links: readonly NodeLink[]) {
    this.#links = links;
  }

  /** Of the first link: which one a key takes is this class's business. */
  get connection(): ConnectionRef | undefined {
    return this.#links[0]!.connection;
  }

  get inFlight(): number {
    return this.#links.reduce((sum, link) => sum + link.inFlight, 0);
  }

  get waiting(): number {
    return this.#links.reduce((sum, link) => sum + link.waiting, 0);
  }

  get down(): boolean {
    return this.#links.some((link) => link.down);
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
    for (const link of this.#links) link.suspect();
  }

  retry(): void {
    for (const link of this.#links) link.retry();
  }

  expire(nowMs: number): number {
    return Math.min(...this.#links.map((link) => link.expire(nowMs)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }

  /** A connection that is gone is nobody's: the first link says so. */
  #pick(commands: readonly Command[], on: ConnectionRef | undefined): NodeLink {
    const links = this.#links;
    if (on !== undefined) return links.find((link) => link.connection?.id === on.id) ?? links[0]!;
    const last = commands.at(-1); // what goes before it, as the mark on the fence item, is on its behalf
    return last === undefined ? links[0]! : links[hashKey(last.line) % links.length]!;
  }
}

/** FNV-1a of a request line's second word, its key. */
function hashKey(line: string): number {
  const from = line.indexOf(" ") + 1;
  const end = line.indexOf(" ", from);
  const to = from === 0 || end === -1 ? line.length : end;
  let hash = FNV_OFFSET;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ line.charCodeAt(at), FNV_PRIME);
  return hash >>> 0;
}
