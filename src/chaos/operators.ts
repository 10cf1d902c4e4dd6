/**
 * The operators of one ring: they change it without pause, by the command line that everybody uses, in processes that the nemesis kills and
 * stops. One that is stopped is not waited for: the next one begins, and both may work at once.
 *
 *   nothing under way ─► a random change (now and then two at once, a sweep, a reindex, a pause)
 *   a change stands   ─► resume it; now and then abort it; abandon a server that died in it
 *   unconfirmed long  ─► confirm
 *   a dead server     ─► remove-node --dead
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Random } from "../model/random.ts";
import { killAtExit } from "../testing/kill-at-exit.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type { Fleet, Slot } from "./fleet.ts";
import type { Timeline } from "./timeline.ts";

const CLI = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const LEAST_NODES = 2;
const MOST_NODES = 5;
/** Keys a second for the copier: few, so that clients meet keys that are moving. */
const RATES = [15, 30, 60, 200] as const;
const BETWEEN_MS = 300;
/** A command that has not ended by then is left alone, like one that was stopped. */
const PATIENCE_MS = 60_000;
const OUTPUT_LIMIT = 400;

const CHANGES = {
  add: 4,
  remove: 4,
  weight: 3,
  vnodes: 3,
  sweep: 0.5,
  reindex: 0.7,
  verify: 0.3,
  twoAtOnce: 0.8,
} as const;

export interface Command {
  readonly args: readonly string[];
  readonly child: ChildProcess;
  /** Resolves when it has ended, or when nobody should wait for it any longer. */
  readonly left: Promise<Ended>;
  leave(): void;
  stopped: boolean;
}

export interface Ended {
  /** Undefined: killed, or left alone. */
  readonly code: number | undefined;
  readonly stdout: string;
  /** Of stdout and stderr. */
  readonly output: string;
}

export interface OperatorsOptions {
  readonly ring: string;
  readonly fleet: Fleet;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly clock: () => number;
  readonly log: (text: string) => void;
}

export class Operators {
  readonly #options: OperatorsOptions;
  readonly commands = new Set<Command>();
  #stopped = false;

  constructor(options: OperatorsOptions) {
    this.#options = options;
  }

  /** Changes the ring until `stop`. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const document = this.#document;
      await this.#turn(document);
      await sleep(this.#options.random.exponential(BETWEEN_MS));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Brings the ring to a settled S, whatever stands. @throws Error when it does not come about in time */
  async finish(timeoutMs: number): Promise<void> {
    const until = this.#options.clock() + timeoutMs;
    for (;;) {
      const { phase, settling } = this.#document;
      const { code, output } = await this.command(["migration", "resume"]);
      const now = this.#document;
      if (code === 0 && phase === "S" && !settling && now.phase === "S" && !now.settling) return;
      if (this.#options.clock() > until) throw new Error(`ring ${this.#options.ring} does not settle: ${output}`);
      if (code !== 0) await this.#unstick(output);
      await sleep(BETWEEN_MS);
    }
  }

  /** Runs a command to its end. */
  async command(args: readonly string[]): Promise<Ended> {
    const command = this.#spawn(args);
    const late = setTimeout(() => command.leave(), PATIENCE_MS);
    const ended = await command.left;
    clearTimeout(late);
    return ended;
  }

  /** Ends what still runs. */
  end(): void {
    for (const { child } of this.commands) child.kill("SIGKILL");
  }

  get #document(): TopologyDocument {
    return this.#options.timeline.latest(this.#options.ring)!;
  }

  async #turn(document: TopologyDocument): Promise<void> {
    const dead = this.#deadIn(document);
    if (document.phase !== "S") return this.#carryOn(document, dead);
    if (dead !== undefined && document.nodes.length > 1) {
      await this.#tell(["remove-node", "--dead", dead.address, "--yes"]);
      return;
    }
    const { random } = this.#options;
    const kind = random.weighted(CHANGES);
    if (kind === "twoAtOnce") {
      await Promise.all([this.#tell(this.#randomChange(document)), this.#tell(this.#randomChange(document))]);
    } else if (kind === "sweep") await this.#tell(["sweep"]);
    else if (kind === "verify") await this.#tell(["verify"]);
    else if (kind === "reindex") await this.#tell(["reindex", random.pick(document.nodes).name]);
    else await this.#tell(this.#change(kind, document));
  }

  async #carryOn(document: TopologyDocument, dead: Slot | undefined): Promise<void> {
    const { random } = this.#options;
    if (dead !== undefined && document.phase === "D" && !document.dead?.includes(dead.address)) {
      const { code } = await this.#tell(["migration", "abandon", dead.address, "--yes"]);
      if (code === 0) return;
    }
    if (random.chance(0.15)) await this.#tell(["migration", "abort", "--yes", "--flush"]);
    else if (random.chance(0.1)) await this.#tell(["migration", "pause"]);
    await this.#tell(["migration", "resume"]);
  }

  async #tell(args: readonly string[]): Promise<Ended> {
    const ended = await this.command(args);
    if (ended.code !== 0) await this.#unstick(ended.output);
    return ended;
  }

  /** What an operator does by docs/operations.md when a command says no. */
  async #unstick(output: string): Promise<void> {
    const { timeline, ring } = this.#options;
    if (output.includes("UNCONFIRMED") || /confirm/.test(output)) {
      const from = this.#options.clock();
      const { code } = await this.command(["migration", "confirm", "--yes"]);
      // which servers it has emptied only its report would say, and it may have been killed
      if (code !== 2)
        timeline.incidents.push({ from, to: this.#options.clock(), cause: "confirmed", address: undefined, ring });
    }
    if (output.includes("WOULD_NOT_FIT")) await this.command(["migration", "abort", "--yes", "--flush"]);
  }

  #deadIn(document: TopologyDocument): Slot | undefined {
    const names = new Set([...document.nodes, ...(document.previousNodes ?? [])].map(({ address }) => address));
    return this.#options.fleet.slots.find(({ abandoned, address }) => abandoned && names.has(address));
  }

  #randomChange(document: TopologyDocument): string[] {
    return this.#change(this.#options.random.pick(["add", "remove", "weight", "vnodes"]), document);
  }

  #change(kind: "add" | "remove" | "weight" | "vnodes", document: TopologyDocument): string[] {
    const { random, fleet } = this.#options;
    const inside = document.nodes;
    const outside = fleet.slots.filter(
      ({ address, abandoned, condition }) =>
        !abandoned && condition === "up" && !inside.some((node) => node.address === address),
    );
    const more = ["--yes", "--force", "--rate", String(random.pick(RATES))];
    const node = random.pick(inside);
    if (kind === "weight") return ["set-weight", node.name, String(random.pick([0.5, 1, 1.5, 2, 3])), ...more];
    if (kind === "vnodes") return ["set-vnodes", node.name, String(random.int(1, 90)), ...more];
    const add = outside.length > 0 && (inside.length <= LEAST_NODES || (kind === "add" && inside.length < MOST_NODES));
    if (!add && inside.length > LEAST_NODES) return ["remove-node", node.name, ...more];
    if (!add) return ["set-weight", node.name, String(random.pick([0.5, 1, 2])), ...more];
    const first = random.pick(outside);
    const second = random.chance(0.2) ? outside.filter((other) => other !== first) : [];
    const added = [first, ...second.slice(0, 1)].map(({ address }) => address);
    return ["add-node", ...added, "--flush", ...more];
  }

  #spawn(args: readonly string[]): Command {
    const { fleet, ring, log } = this.#options;
    const options = ["--redis", fleet.redisUrl, "--namespace", ring, "--json"];
    const child = spawn(process.execPath, [CLI, ...args, ...options], { stdio: ["ignore", "pipe", "pipe"] });
    killAtExit(child);
    let [stdout, output] = ["", ""];
    child.stdout!.setEncoding("utf8").on("data", (piece: string) => {
      stdout += piece;
      output += piece;
    });
    child.stderr!.setEncoding("utf8").on("data", (piece: string) => {
      output += piece;
    });
    let leave = () => {};
    const left = new Promise<Ended>((resolve) => {
      leave = () => resolve({ code: undefined, stdout: "", output: "" });
      child.once("close", (code) => {
        this.commands.delete(command);
        this.#note(args, code, output);
        resolve({ code: code ?? undefined, stdout, output });
      });
    });
    const command: Command = { args, child, left, leave, stopped: false };
    this.commands.add(command);
    log(`ring ${ring}: ${args.join(" ")}`);
    return command;
  }

  /** With the reason of a failure, as far as it is short. */
  #note(args: readonly string[], code: number | null, output: string): void {
    const { timeline, clock, ring, log } = this.#options;
    const short = code === 0 ? "" : ` ${output.replaceAll(/\s+/g, " ").slice(-OUTPUT_LIMIT)}`;
    const text = `ring ${ring}: ${args.slice(0, 3).join(" ")} ended with ${code ?? "a signal"}${short}`;
    timeline.note(clock(), text);
    log(text);
  }
}
