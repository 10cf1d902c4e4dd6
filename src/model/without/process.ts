/** One process without some rules: its store, its transport's commands and fences, and its session. */
import { RecordedKeys } from "../../keyindex/recorded-keys.ts";
import type { Command } from "../../memcached/exchange.ts";
import type { Session } from "../../protocol/session.ts";
import type { Route, View } from "../../protocol/view.ts";
import type { Tamper } from "../network.ts";
import type { SimProcess } from "../process.ts";
import { SimStore, type StoreParts } from "../store.ts";
import { CommandFates } from "./commands.ts";
import { fenceShown } from "./fences.ts";
import { TamperedStore } from "./redis.ts";
import type { RulesOff } from "./rules.ts";

export function storeOf(parts: StoreParts, off: RulesOff, process: SimProcess): SimStore {
  return off.size === 0 ? new SimStore(parts) : new TamperedStore(parts, off, process);
}

/** Far more keys than a run has, in tables that are made with every process. */
const RECORDED_KEYS = 100_000;
const RECORDED_SLOTS = 16;

export function recordedOf(off: RulesOff): RecordedKeys {
  return off.has("w-recmem") ? new Unforgetting() : new RecordedKeys(RECORDED_KEYS, RECORDED_SLOTS);
}

class Unforgetting extends RecordedKeys {
  override changed(): void {}
  override clear(): void {}
}

export function tamperOf(off: RulesOff, process: SimProcess): Tamper | undefined {
  if (off.size === 0) return undefined;
  const fates = new CommandFates(off, process);
  return (node, commands) => {
    if (!process.opened) return undefined;
    const { document } = process.session.view;
    const each = commands.map((command) => fates.of(node, command));
    process.planting = false;
    return {
      commands: each.flatMap((fate) => fate.send),
      back: (result) => {
        let at = 0;
        const replies = each.map(({ send, answer }) => {
          at += send.length;
          return answer(result.replies.slice(at - send.length, at));
        });
        process.planting = looksToPlant(commands, process.world.namespace.fenceKey);
        return { ...result, replies, fence: fenceShown(off, process, document, node, commands, result) };
      },
    };
  };
}

/** The exchange after which `plant` reads the document. */
function looksToPlant(commands: readonly Command[], fenceKey: string): boolean {
  return commands.at(-1)?.line === `mg ${fenceKey} v c`;
}

/** The session's own methods where a rule is there. */
export function withoutRules(off: RulesOff, session: Session, process: SimProcess): void {
  if (off.has("nopull")) {
    const { get } = session.pulls;
    // a pull that is said to be under way is waited for, not begun; reads still pull
    session.pulls.get = (key) => (process.reading.has(key) ? get.call(session.pulls, key) : Promise.resolve());
  }
  if (off.has("w-joining")) session.needsOldFence = () => false;
  if (off.has("w-void")) session.isVoid = () => false;
  if (off.has("nolinger")) session.linger = () => {};
  if (off.has("w-prec") && process.isCaller) {
    const { recorder } = session;
    const record = recorder.record.bind(recorder);
    recorder.record = async (of, view, key, hash, point) =>
      session.pulls.has(key) ? "recorded" : record(of, view, key, hash, point);
  }
  if (off.has("w-plantrun")) {
    const look = session.look.bind(session);
    session.look = async () => {
      const { planting } = process;
      const seen = await look();
      return planting ? seenAs(seen, true) : seen;
    };
  }
  if (off.has("w-phrun") && process.isCaller) {
    const look = session.look.bind(session);
    session.look = async () => {
      const seen = await look();
      return seenAs(seen, seen.document.runId === seen.redisRunId);
    };
  }
  const change = (view: View) => withoutViewRules(off, view, process);
  const { onView } = session;
  session.onView = (view, before) => {
    onView(view, before);
    change(view);
  };
  change(session.view);
}

function withoutViewRules(off: RulesOff, view: View, process: SimProcess): void {
  if (off.has("w-phrun") && process.isCaller) Object.defineProperty(view, "confirmed", { get: () => true });
  if (!off.has("nofreeze") || view.document.phase !== "F") return;
  const route = view.route.bind(view);
  view.route = (key, hash) => unheld(route(key, hash));
}

/** Whoever would hold the write asks first whether its key is moving; rule V asks later. */
function unheld(route: Route): Route {
  let asked = false;
  return {
    ...route,
    get moving() {
      const { moving } = route;
      const shown = moving && asked;
      asked = true;
      return shown;
    },
  };
}

/** The view as it is but for whether it counts as confirmed. */
function seenAs(view: View, confirmed: boolean): View {
  return new Proxy(view, {
    get(target, name) {
      if (name === "confirmed") return confirmed;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
