/** Many items' commands to one server: as few exchanges as they fit in, all under way at once, each told after its fence check. */
import type { Command, ConnectionRef, Exchanged } from "../memcached/exchange.ts";
import { MAX_EXCHANGE_BYTES, MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { Session } from "./session.ts";
import { ask, requireFence } from "./validate.ts";
import type { View } from "./view.ts";

export interface ManyCommands<T> {
  readonly items: readonly T[];
  /** Commands of one item. */
  readonly perItem: number;
  readonly commands: (item: T, out: Command[]) => void;
  /** The replies to the commands of these items, in order. Not called where the fence is not the document's. */
  readonly answered: (part: readonly T[], result: Exchanged) => void;
  /** Over exactly this connection. */
  readonly on: ConnectionRef | undefined;
}

/** Sends them. Each promise rejects with Retry when its part has no answer that counts (rule V, in D). */
export function exchanges<T>(session: Session, view: View, node: NodeRecord, many: ManyCommands<T>): Promise<void>[] {
  const { items, perItem, on } = many;
  const asked: Promise<void>[] = [];
  const send = async (part: readonly T[], commands: readonly Command[]) => {
    const result = await ask(session, view, node, commands, on);
    await requireFence(session, view, node, result);
    many.answered(part, result);
  };
  let from = 0;
  let bytes = 0;
  let commands: Command[] = [];
  for (let at = 0; at < items.length; at++) {
    const before = commands.length;
    many.commands(items[at]!, commands);
    let size = 0;
    for (let i = before; i < commands.length; i++) size += bytesOf(commands[i]!);
    bytes += size;
    if (before > 0 && (bytes > MAX_EXCHANGE_BYTES || before + perItem > MAX_EXCHANGE_COMMANDS)) {
      asked.push(send(items.slice(from, at), commands.slice(0, before)));
      commands = commands.slice(before);
      from = at;
      bytes = size;
    }
  }
  if (commands.length > 0) asked.push(send(items.slice(from), commands));
  return asked;
}

/** Resolves, or rejects as the first that did, when all have ended: nothing is under way any more then. */
export async function settleAll(promises: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises)) if (outcome.status === "rejected") throw outcome.reason;
}

function bytesOf({ line, data }: Command): number {
  return line.length + 4 + (data === undefined ? 0 : data.length);
}
