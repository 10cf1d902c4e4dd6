/**
 * A client with a rule of the protocol switched off, to show that the checker would notice. The rules have the model's names; the product's code
 * is not touched: its links are told to lie, or to send something else.
 */
import { Client } from "../client/client.ts";
import { openManaged } from "../client/session.ts";
import type { Command, Exchanged, Reply } from "../memcached/exchange.ts";
import { newPending, type Settle } from "../memcached/flush.ts";
import type { NodeLink } from "../memcached/link-options.ts";
import type { Session } from "../protocol/session.ts";
import { namespaceOf } from "../topology/namespace.ts";

export const CHAOS_RULES = {
  nofence: "V: replies count whatever the fence shows",
  nopull: "M: mutations of moving keys go to the new owner without a pull",
  addfill: "P, step 4: the placeholder is deleted and the value filled in by add",
} as const;

export type ChaosRule = keyof typeof CHAOS_RULES;

export interface CrippledOptions {
  readonly redis: string;
  readonly namespace: string;
  readonly timeoutMs: number;
  readonly ioTimeoutMs: number;
}

/** A client of the ring whose connections do as if the rules were off. */
export async function openCrippled(off: ReadonlySet<ChaosRule>, options: CrippledOptions): Promise<Client> {
  const { redis, namespace, timeoutMs, ioTimeoutMs } = options;
  const open = await openManaged({
    redis,
    namespace: namespaceOf(namespace),
    caretaker: true,
    ioTimeoutMs,
    connectTimeoutMs: ioTimeoutMs,
    health: { downAfter: 2, onRejoin: undefined },
  });
  const { pool, session } = open;
  const link = pool.link.bind(pool);
  const crippled = new WeakSet<object>();
  pool.link = (node) => {
    const found = link(node);
    if (!crippled.has(found)) cripple(off, session, node.name, found);
    crippled.add(found);
    return found;
  };
  if (off.has("nopull")) withoutPull(session);
  return new Client(open, { timeoutMs, retryAmbiguous: false });
}

/** A pull that is said to be under way is waited for, not begun. Reads pull as ever. */
function withoutPull(session: Session): void {
  const { get } = session.pulls;
  session.pulls.get = (key) => (calledByRead() ? get.call(session.pulls, key) : Promise.resolve());
}

function calledByRead(): boolean {
  return /\breadDual\b/.test(new Error().stack ?? "");
}

/** Changes what a link sends and is told. All its ways to send end in `enqueue`. */
function cripple(off: ReadonlySet<ChaosRule>, session: Session, node: string, link: NodeLink): void {
  const enqueue = link.enqueue.bind(link);
  link.enqueue = (item) => {
    const sent = item.commands.map((command) => (off.has("addfill") ? instead(session, node, command) : [command]));
    const told: Settle = (failure, result) => item.settle(failure, result && changed(off, session, node, sent, result));
    const mayFlush = item.mayFlush === undefined ? undefined : () => item.mayFlush!();
    enqueue({ ...newPending(sent.flat(), item.on, told, mayFlush), asText: item.asText });
  };
}

/** What is sent in place of a command; its last reply is the command's. */
function instead(session: Session, node: string, command: Command): readonly Command[] {
  const [verb, key = "", flags, exptime, bytes, cas] = command.line.split(" ");
  if (verb !== "cas" || key.startsWith("ringshift:") || command.data!.length === 0) return [command];
  const route = session.view.route(key);
  if (session.view.document.phase !== "D" || !route.moving || route.node.name !== node) return [command];
  return [{ line: `md ${key} C${cas}` }, { line: `add ${key} ${flags} ${exptime} ${bytes}`, data: command.data }];
}

function changed(
  off: ReadonlySet<ChaosRule>,
  session: Session,
  node: string,
  sent: readonly (readonly Command[])[],
  result: Exchanged,
): Exchanged {
  let at = 0;
  const replies = sent.map((commands): Reply => {
    at += commands.length;
    return result.replies[at - 1]!;
  });
  if (!off.has("nofence")) return { ...result, replies };
  const { document } = session.view;
  const number = (document.fences[node] ?? 0) - (document.phase === "F" ? 1 : 0);
  return { ...result, replies, fence: { incarnation: "", unindexed: false, text: "", ...result.fence, number } };
}
