/** What the steps of a pull (pull.ts) share: the keys under way, the pair of servers, and flushes that fit. */
import type { Command, ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import { MAX_EXCHANGE_BYTES, MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import type { NodeRecord } from "../topology/document.ts";
import { Retry } from "./outcome.ts";
import type { Session } from "./session.ts";
import { ask, requireFence } from "./validate.ts";
import type { View } from "./view.ts";

/** A key to pull, with the point whose set lists it at its new owner. */
export interface PullKey {
  readonly key: string;
  readonly hash: number;
  readonly point: number;
}

export interface PullOptions {
  /** A value that B cannot store: `drop` it, as Memcached drops what it cannot store, or `stop` with Unstorable. */
  readonly unstorable: "drop" | "stop";
  /** For a read, which begins anew with what B has: a value that somebody else has brought there is enough, whatever A still has. */
  readonly forRead?: boolean | undefined;
}

/** `moved`: by this pull. `present`: B had a value already. `absent`: neither has one. `dropped`: B could not store it. */
export type PullResult = "moved" | "present" | "absent" | "dropped";

/** Somebody's placeholder. */
export interface Foreign {
  readonly cas: string;
  /** Gave the CAS. */
  readonly connection: ConnectionRef;
  /** When it counts as left behind, on the session's clock. */
  readonly takeOverAt: number;
  /** It could be a lease (lease.ts), and has to be looked at as one. */
  lease: boolean;
}

/** Who waits for somebody's placeholder. */
export interface Waiting {
  /** That placeholder; undefined when there is none, or none any more. */
  foreign: Foreign | undefined;
  /** How often it was another one. */
  changes: number;
}

export interface Job extends PullKey, Waiting {
  /** CAS of the placeholder at B that this pull may replace, and the connection that gave it. */
  token: string | undefined;
  connection: ConnectionRef | undefined;
  /** The value at A, and the connection that gave it. */
  copy: Reply | undefined;
  copyConnection: ConnectionRef | undefined;
  readAt: number;
  /** B has no memory even for a placeholder. */
  refused: boolean;
  result: PullResult | undefined;
}

/** One pull under way, of many keys at once. */
export interface Crossing {
  readonly session: Session;
  readonly view: View;
  readonly source: NodeRecord;
  readonly target: NodeRecord;
  readonly options: PullOptions;
}

/** A CAS token is used only on the connection that gave it. @throws Retry when they came from several */
export function sameConnection(connections: readonly ConnectionRef[]): ConnectionRef | undefined {
  const first = connections[0];
  if (connections.some((other) => other.id !== first!.id)) throw new Retry();
  return first;
}

/** Sends each job's commands to B, packed into flushes, and hands back each job's replies after the fence check. */
export async function atTarget(
  crossing: Crossing,
  jobs: readonly Job[],
  commands: readonly Command[][],
  answer: (job: Job, replies: readonly Reply[], connection: ConnectionRef) => void,
  on?: ConnectionRef,
): Promise<void> {
  const { session, view, target } = crossing;
  const work = jobs.map((job, i) => ({ job, commands: commands[i]! }));
  const size = (one: (typeof work)[number]) => one.commands.length;
  const bytes = (one: (typeof work)[number]) =>
    one.commands.reduce((sum, { line, data }) => sum + line.length + (data?.length ?? 0) + 4, 0);
  for (const part of parts(work, size, bytes)) {
    const flat = part.flatMap((one) => one.commands);
    const result: Exchanged = await ask(session, view, target, flat, on);
    await requireFence(session, view, target, result);
    let at = 0;
    for (const one of part) {
      answer(one.job, result.replies.slice(at, at + one.commands.length), result.connection);
      at += one.commands.length;
    }
  }
}

/** Slices that fit one exchange. */
export function* parts<T>(
  items: readonly T[],
  size: (item: T) => number,
  bytes: (item: T) => number = () => 0,
): Iterable<T[]> {
  let part: T[] = [];
  let [commands, total] = [0, 0];
  for (const item of items) {
    const [more, length] = [size(item), bytes(item)];
    if (part.length > 0 && (commands + more > MAX_EXCHANGE_COMMANDS || total + length > MAX_EXCHANGE_BYTES)) {
      yield part;
      part = [];
      commands = total = 0;
    }
    part.push(item);
    commands += more;
    total += length;
  }
  if (part.length > 0) yield part;
}
