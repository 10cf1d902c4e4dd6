/**
 * Rules of the protocol switched off, to show that the checker would notice. The product's code is not touched: what it is told is not true, or
 * what it asks for is not done.
 */
import { metaGet } from "../memcached/commands.ts";
import type { Command, Exchanged, Reply } from "../memcached/exchange.ts";
import type { Endpoint } from "../memcached/transport.ts";
import type { Session } from "../protocol/session.ts";
import type { Tamper } from "./network.ts";
import type { SimProcess } from "./process.ts";
import type { SimStore } from "./store.ts";

export const RULES = {
  nofence: "V: replies count whatever the fence shows",
  nofenceS: "V, in S and F only",
  nofenceD: "V, in D only",
  nopull: "M: mutations of moving keys go to the new owner without a pull",
  nokill: "P, step 5: the old owner's copy stays",
  addfill: "P, step 4: the placeholder is deleted and the value filled in by add",
  leaveph: "P, step 2: the placeholder of a key that is nowhere stays",
  no3rd: "R: no third look",
  onepass: "K: no second pass",
  nopurge: "G: strays stay",
  nohold: "T: the next migration starts without waiting for anybody",
  nogate: "T: a client sends whatever the age of its document",
} as const;

export type Rule = keyof typeof RULES;

export interface RulesOff {
  readonly gate: boolean;
  readonly tamper: Tamper | undefined;
  store(store: SimStore): SimStore;
  session(session: Session): void;
}

export function rulesOff(off: ReadonlySet<Rule>, process: SimProcess): RulesOff {
  return {
    gate: off.has("nogate"),
    tamper: off.size === 0 ? undefined : tamperOf(off, process),
    store: (store) => (off.has("nohold") ? withoutHold(store) : store),
    session: (session) => {
      if (!off.has("nopull")) return;
      const { get } = session.pulls;
      // a pull that is said to be under way is waited for, not begun; reads still pull
      session.pulls.get = (key) => (process.reading.has(key) ? get.call(session.pulls, key) : Promise.resolve());
    },
  };
}

function withoutHold(store: SimStore): SimStore {
  return new Proxy(store, {
    get(target, name) {
      if (name === "unacknowledged") return async () => [];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** One command's fate: sent as it is, sent as others, or not sent and answered. */
type Fate = { readonly send: readonly Command[]; readonly answer: (replies: readonly Reply[]) => Reply };

function tamperOf(off: ReadonlySet<Rule>, process: SimProcess): Tamper {
  const lastMissAtSource = new Set<string>();
  return (node, commands) => {
    if (!process.opened) return undefined;
    const { document } = process.session.view;
    const fates = commands.map((command) => fateOf(off, process, node, command, lastMissAtSource));
    const lying = off.has("nofence") || (document.phase === "D" ? off.has("nofenceD") : off.has("nofenceS"));
    const number = (document.fences[node.name] ?? 0) - (document.phase === "F" ? 1 : 0);
    return {
      commands: fates.flatMap((fate) => fate.send),
      back: (result) => {
        let at = 0;
        const replies = fates.map(({ send, answer }) => {
          at += send.length;
          return answer(result.replies.slice(at - send.length, at));
        });
        return lying ? { ...result, replies, fence: lie(result, number) } : { ...result, replies };
      },
    };
  };
}

function lie(result: Exchanged, number: number): Exchanged["fence"] {
  return { incarnation: "", unindexed: false, text: "", ...result.fence, number };
}

function fateOf(
  off: ReadonlySet<Rule>,
  process: SimProcess,
  node: Endpoint,
  command: Command,
  missed: Set<string>,
): Fate {
  const asIs: Fate = { send: [command], answer: ([reply]) => reply! };
  const unsent = (status: string): Fate => ({ send: [], answer: () => ({ ...NOTHING, status }) });
  const { view } = process.session;
  const [verb, key = "", ...flags] = command.line.split(" ");
  if (key.startsWith("ringshift:")) return asIs;
  const route = view.route(key);
  const dual = view.document.phase === "D" && route.moving;
  const [atSource, atTarget] = [dual && node.name === route.source!.name, dual && node.name === route.node.name];
  if (off.has("nokill") && atSource) {
    if (verb === "md") return unsent("HD");
    if (command.line === metaGet(key, "c").line) return unsent("EN");
  }
  if (off.has("onepass") && atSource && command.line === metaGet(key, "f").line) return unsent("EN");
  if (off.has("nopurge") && view.document.phase === "S" && command.line === metaGet(key, "c").line) return unsent("EN");
  if (off.has("leaveph") && atTarget && verb === "md" && !process.deleting.has(key)) return unsent("HD");
  if (off.has("addfill") && atTarget && verb === "cas" && command.data!.length > 0) {
    const add = { line: `add ${key} ${flags.slice(0, 3).join(" ")}`, data: command.data };
    return { send: [{ line: `md ${key} C${flags[3]}` }, add], answer: ([, reply]) => reply! };
  }
  if (off.has("no3rd") && verb === "mg") {
    if (atTarget && missed.delete(key)) return unsent("EN");
    if (atSource && command.line === metaGet(key, "f c").line) {
      const answer = ([reply]: readonly Reply[]) => {
        if (reply!.status === "EN") missed.add(key);
        return reply!;
      };
      return { send: [command], answer };
    }
  }
  return asIs;
}

const NOTHING: Reply = {
  status: "",
  value: undefined,
  flags: undefined,
  cas: undefined,
  ttl: undefined,
  size: undefined,
  won: false,
  stale: false,
  message: "",
};
