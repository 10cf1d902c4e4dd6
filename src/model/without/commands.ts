/** Rules about commands, switched off: each command on its way is sent as it is, sent as others, or not sent and answered. */
import { metaGet, PLACEHOLDER_FLAGS } from "../../memcached/commands.ts";
import type { Command, Reply } from "../../memcached/exchange.ts";
import { formatFence, parseFence } from "../../memcached/fence.ts";
import type { Endpoint } from "../../memcached/transport.ts";
import type { Route } from "../../protocol/view.ts";
import type { SimProcess } from "../process.ts";
import { EMPTY } from "../server.ts";
import type { RulesOff } from "./rules.ts";

export interface Fate {
  readonly send: readonly Command[];
  readonly answer: (replies: readonly Reply[]) => Reply;
}

export class CommandFates {
  readonly #off: RulesOff;
  readonly #process: SimProcess;
  /** Keys that the old owner has just answered a reader's second look with a miss for. */
  readonly #missed = new Set<string>();

  constructor(off: RulesOff, process: SimProcess) {
    this.#off = off;
    this.#process = process;
  }

  of(node: Endpoint, command: Command): Fate {
    const [, key = ""] = command.line.split(" ");
    if (key === this.#process.world.namespace.fenceKey) return this.#ofFence(node, command);
    if (key.startsWith("ringshift:") || command.line === "mn") return asIs(command);
    const route = this.#process.session.view.route(key);
    return (
      this.#ofDelete(node, command, route) ??
      this.#ofLook(node, command, route) ??
      this.#ofFill(node, command, route) ??
      asIs(command)
    );
  }

  #ofDelete(node: Endpoint, command: Command, route: Route): Fate | undefined {
    const off = this.#off;
    const { view, key } = route;
    if (!command.line.startsWith("md ")) return undefined;
    const { phase } = view.document;
    const dual = phase === "D" && route.moving;
    if (off.has("nokill") && dual && node.name === route.source!.name) return unsent("HD");
    const there = this.#process.world.server(node.name).items.get(key);
    if (there?.flags !== PLACEHOLDER_FLAGS || !command.line.includes(" C")) return undefined;
    const pulling = this.#process.session.pulls.has(key) || !this.#process.isCaller;
    const reading = this.#process.reading.has(key);
    const rule = pulling ? "leaveph" : !reading ? "w-phmiss" : phase === "D" ? "nophdel" : "w-sph";
    return off.has(rule) ? unsent("HD") : undefined;
  }

  #ofLook(node: Endpoint, command: Command, route: Route): Fate | undefined {
    const off = this.#off;
    const { key, view } = route;
    const { line } = command;
    const dual = view.document.phase === "D" && route.moving;
    const atSource = dual && node.name === route.source!.name;
    if (off.has("nokill") && atSource && line === metaGet(key, "c").line) return unsent("EN");
    if (off.has("onepass") && atSource && line === metaGet(key, "f").line) return unsent("EN");
    if (off.has("nopurge") && view.document.phase === "S" && line === metaGet(key, "c").line) return unsent("EN");
    if (
      off.has("w-native") &&
      line.startsWith("mg ") &&
      !this.#process.reading.has(key) &&
      !line.endsWith(" v t f c")
    ) {
      const plain = (reply: Reply) => (reply.flags === PLACEHOLDER_FLAGS ? { ...reply, flags: 0 } : reply);
      const own = line.endsWith(" f c s") && this.#process.session.pulls.has(key); // a pull's own look
      return own || !this.#process.isCaller ? undefined : { send: [command], answer: ([reply]) => plain(reply!) };
    }
    return off.has("no3rd") && dual ? this.#ofReader(atSource, command, key) : undefined;
  }

  /** The third look follows a miss at the old owner. */
  #ofReader(atSource: boolean, command: Command, key: string): Fate | undefined {
    if (!command.line.startsWith("mg ")) return undefined;
    if (!atSource) return this.#missed.delete(key) ? unsent("EN") : undefined;
    if (command.line !== metaGet(key, "f c").line) return undefined;
    const answer = ([reply]: readonly Reply[]) => {
      if (reply!.status === "EN") this.#missed.add(key);
      return reply!;
    };
    return { send: [command], answer };
  }

  #ofFill(node: Endpoint, { line, data }: Command, route: Route): Fate | undefined {
    const filling = route.view.document.phase === "D" && route.moving && node.name === route.node.name;
    if (!this.#off.has("addfill") || !filling || !line.startsWith("cas ") || data!.length === 0) return undefined;
    const [, key, flags, exptime, bytes, cas] = line.split(" ");
    const add = { line: `add ${key} ${flags} ${exptime} ${bytes}`, data };
    return { send: [{ line: `md ${key} C${cas}`, data: undefined }, add], answer: ([, reply]) => reply! };
  }

  #ofFence(node: Endpoint, command: Command): Fate {
    const off = this.#off;
    const { world, session } = this.#process;
    const { document } = session.view;
    const { line, data } = command;
    const number = document.fences[node.name] ?? 0;
    if (line.startsWith("cas ") && document.phase === "F" && parseFence(data!.toString("latin1")).number === number) {
      if (off.has("lazyF")) return unsent("STORED");
    }
    if (off.has("w-plantnum") && line.startsWith("add ") && data!.includes("nonce")) {
      const text = Buffer.from(formatFence(number, this.#process.clock.randomId(), true), "latin1");
      const [verb, key, flags, exptime] = line.split(" ");
      const send = [{ line: `${verb} ${key} ${flags} ${exptime} ${text.length}`, data: text }];
      return { send, answer: ([reply]) => reply! };
    }
    if (off.has("w-queue") && line.startsWith("append ")) return unsent("STORED");
    const asked = line === metaGet(world.namespace.fenceKey, "v").line;
    const asserted =
      (off.has("w-twolost") && !session.view.confirmed) || (off.has("nocheckF") && document.phase === "S");
    if (!asked || !asserted || this.#process.isCaller !== !session.view.confirmed) return asIs(command);
    return { send: [command], answer: ([reply]) => (lacks(reply!) ? standing(number) : reply!) };
  }
}

function lacks({ value }: Reply): boolean {
  return parseFence(value?.toString("latin1") ?? "").number === undefined;
}

function standing(number: number): Reply {
  return { ...EMPTY, status: "VA", value: Buffer.from(formatFence(number, "0".repeat(16), false), "latin1") };
}

function asIs(command: Command): Fate {
  return { send: [command], answer: ([reply]) => reply! };
}

function unsent(status: string): Fate {
  return { send: [], answer: () => ({ ...EMPTY, status }) };
}
