/**
 * Faults at the steps that matter: right after a command of a move has run at its server, or a publication at Redis, something befalls the
 * process that sent it, the item, the server or Redis. Struck at random times faults seldom fall between two steps of one pull.
 */
import type { Command, Reply } from "../memcached/exchange.ts";
import type { Feature } from "./features.ts";
import { partition, STRIKES } from "./nemesis.ts";
import type { SimProcess } from "./process.ts";
import type { World } from "./world.ts";

type Ambush = (world: World, process: SimProcess, server: string, key: string) => void;

const AMBUSHES: Partial<Record<Feature, { readonly weight: number; readonly strike: Ambush }>> = {
  pause: { weight: 8, strike: (world, process) => world.pause(process) },
  crash: { weight: 1, strike: (world, process) => world.crash(process) },
  evict: { weight: 3, strike: evict },
  cut: { weight: 2, strike: (_, process, server) => process.cut(server) },
  fence: { weight: 1, strike: (world, _, server) => world.server(server).drop(world.namespace.fenceKey) },
  restart: { weight: 1, strike: restart },
  dead: { weight: 0.5, strike: (world, process, server) => partition(world, world.server(server), process) },
  failover: { weight: 1.5, strike: (world) => STRIKES.failover!.strike(world) },
  unreach: { weight: 1, strike: (world, process) => world.cutFromRedis(process) },
};

export class Ambushes {
  readonly #world: World;
  readonly #rate: number;
  readonly #weights: Readonly<Record<string, number>>;

  constructor(world: World) {
    const { features, profile } = world;
    const on = Object.entries(AMBUSHES).filter(([name]) => features[name as Feature]);
    this.#world = world;
    this.#weights = Object.fromEntries(
      on.map(([name, { weight }]) => [name, profile.ambushes[name as Feature] ?? weight]),
    );
    this.#rate = on.length === 0 ? 0 : profile.ambush;
  }

  /** A command has run at a server. */
  ran(process: SimProcess, server: string, command: Command, reply: Reply): void {
    const { line } = command;
    const { status } = reply;
    if (this.#world.profile.vanish > 0) this.#vanish(process, server, command, reply);
    if (this.#rate === 0 || status === "EN" || process.dead) return;
    const { redis, random } = this.#world;
    const document = redis.document;
    if (document === null || (document.phase === "S" && !document.settling)) return;
    const [verb, key = ""] = line.split(" ", 2);
    const reserved = key.startsWith("ringshift:");
    if (reserved && verb === "mg") return;
    if (random.chance(this.#rate)) this.#strike(process, server, reserved ? "" : key);
  }

  /** A pull has read a value, which nobody else can find any more then; or a reader has found nothing in D. Both are slow to go on. */
  #vanish(process: SimProcess, server: string, { line }: Command, { status }: Reply): void {
    const { redis, random, profile, scheduler, weather } = this.#world;
    if (process.dead || redis.document?.phase !== "D" || !line.startsWith("mg ") || line.startsWith("mg ringshift:"))
      return;
    const pulls = line.endsWith(" v t f c");
    if (status !== (pulls ? "VA" : "EN") || !random.chance(profile.vanish)) return;
    if (pulls) this.#world.server(server).drop(line.split(" ", 2)[1]!);
    scheduler.pause(process, random.exponential(weather.mean * (pulls ? 20 : 10)));
  }

  /** A document was published. */
  published(process: SimProcess): void {
    if (this.#rate === 0 || process.dead || !this.#world.random.chance(this.#rate * 2)) return;
    const server = this.#world.random.pick([...this.#world.servers.values()]).name;
    this.#strike(process, server, this.#world.random.pick(this.#world.plan.keys));
  }

  #strike(process: SimProcess, server: string, key: string): void {
    const name = this.#world.random.weighted(this.#weights);
    this.#world.count(`ambush ${name}`);
    this.#world.scheduler.note(() => `AMBUSH ${name} ${process.name} ${server} ${key}`);
    AMBUSHES[name as Feature]!.strike(this.#world, process, server, key);
  }
}

/** The server's CAS numbers begin anew; the process, which holds some of the old ones, may be slow to notice. */
function restart(world: World, process: SimProcess, server: string): void {
  world.restart(world.server(server), 0);
  if (world.features.pause && world.random.chance(0.6)) world.pause(process);
}

/** The item goes, at this server or wherever it is; the process, which has just seen it, may be slow to go on. */
function evict(world: World, process: SimProcess, server: string, key: string): void {
  if (key === "") return;
  if (world.features.pause && world.random.chance(0.4)) world.pause(process);
  const all = world.random.chance(0.3);
  for (const other of world.servers.values()) if (all || other.name === server) other.drop(key);
}
