/** What the nemesis does to client processes and to commands of operators. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Member } from "./crew.ts";
import type { Command } from "./operators.ts";
import type { ProxyFault } from "./proxy.ts";
import type { Storm } from "./storm.ts";

/** Clients that are left alone, at least: somebody has to hold the topology. */
const LEAST_CLIENTS = 2;
/** For the next copying to begin; what waits for it begins without one then. */
const COPYING_MS = 8_000;
const LOOK_MS = 5;
/** Of a delay on clients' ways to Redis: an answer takes up to 700 ms, where a document is too old to act by after 2 s. */
const SLOWNESS = 0.4;

export class ProcessFaults {
  readonly #storm: Storm;

  constructor(storm: Storm) {
    this.#storm = storm;
  }

  /** What the fault does to one of the clients; undefined when too few are up. */
  onClient(
    fault: "clientKilled" | "clientStopped" | "clientStoppedLong" | "clientCut" | "clientDelayed",
  ): (() => Promise<void>) | undefined {
    switch (fault) {
      case "clientKilled":
        return this.#onMember((member) => this.#killClient(member));
      case "clientStopped":
        return this.#atCopying((member) => this.#stopClient(member, 200, 3_000));
      case "clientStoppedLong":
        return this.#onMember((member) => this.#stopClient(member, 15_000, 90_000));
      case "clientCut":
        return this.#onMember((member) => this.#cutClient(member));
      case "clientDelayed":
        return this.#atCopying((member) => this.#delayClients(member));
    }
  }

  #onMember(work: (member: Member) => Promise<void>): (() => Promise<void>) | undefined {
    const up = this.#storm.options.crew.filter(({ condition }) => condition === "up");
    if (up.length <= LEAST_CLIENTS) return undefined;
    const member = this.#storm.options.random.pick(up);
    return () => work(member);
  }

  async #killClient(member: Member): Promise<void> {
    this.#storm.note(`client ${member.number} killed`);
    await member.kill();
    await this.#storm.pause(100, 2_000);
    member.start();
  }

  async #stopClient(member: Member, least: number, most: number): Promise<void> {
    const from = this.#storm.options.clock();
    member.signal("SIGSTOP");
    this.#storm.note(`client ${member.number} stopped`);
    await this.#storm.pause(least, most);
    member.signal("SIGCONT");
    this.#storm.note(
      `client ${member.number} continued after ${((this.#storm.options.clock() - from) / 1000).toFixed(1)} s`,
    );
  }

  /**
   * When keys begin to move: then pulls are under way, which are overtaken. A client that was slow before would hear of it when the others have
   * pulled what is asked for often. Who it is shows then: others may have been stopped meanwhile.
   */
  #atCopying(work: (member: Member) => Promise<void>): (() => Promise<void>) | undefined {
    return this.#onMember(async () => {
      const { clock, timeline } = this.#storm.options;
      const until = clock() + COPYING_MS;
      const before = timeline.copyings;
      let begin: (() => Promise<void>) | undefined;
      while (begin === undefined && !this.#storm.stopped) {
        if (timeline.copyings !== before || clock() > until) begin = this.#onMember(work);
        if (begin === undefined) await sleep(LOOK_MS);
      }
      await begin?.();
    });
  }

  /** It alone, for longer than it stays registered: only the fences guard it. */
  async #cutClient({ number }: Member): Promise<void> {
    this.#onWayToRedis(number, this.#storm.options.random.pick(["drop", "refuse", "halfOpen"]));
  }

  /** It and every second one, for as long, but by less than makes their documents too old to act by: their pulls are overtaken before they have recorded. */
  async #delayClients({ number }: Member): Promise<void> {
    for (const other of this.#storm.options.crew) {
      if (other.number % 2 === number % 2) this.#onWayToRedis(other.number, "delay", SLOWNESS);
    }
  }

  #onWayToRedis(client: number, kind: ProxyFault, slowness?: number): void {
    const { fleet, random, scale } = this.#storm.options;
    const ms = Math.round(6_000 + random.next() * 24_000 * scale);
    this.#storm.note(`client ${client} cut off from Redis: ${kind} for ${ms} ms`);
    fleet.redisFault(kind, ms, client, slowness);
  }

  /** What it does to one of the commands that run; undefined when none does. */
  onOperator(fault: "operatorKilled" | "operatorStopped"): (() => Promise<void>) | undefined {
    const running = this.#storm.options.operators
      .flatMap(({ commands }) => [...commands])
      .filter(({ stopped }) => !stopped);
    if (running.length === 0) return undefined;
    const command = this.#storm.options.random.pick(running);
    return async () => {
      await this.#storm.pause(0, 700);
      this.#storm.note(
        `operator's "${command.args.slice(0, 2).join(" ")}" ${fault === "operatorKilled" ? "killed" : "stopped"}`,
      );
      if (fault === "operatorKilled") command.child.kill("SIGKILL");
      else await this.#stopOperator(command);
    };
  }

  async #stopOperator(command: Command): Promise<void> {
    command.child.kill("SIGSTOP");
    command.stopped = true;
    command.leave();
    await this.#storm.pause(6_000, 45_000);
    command.child.kill("SIGCONT");
    command.stopped = false;
    this.#storm.note(`operator's "${command.args.slice(0, 2).join(" ")}" continued`);
  }
}
