/** Everything of one run that is not a process: servers, Redis, the history, and who is to be told when the document changes. */

import { classicSet, metaSet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Command } from "../memcached/exchange.ts";
import { formatFence, parseFence } from "../memcached/fence.ts";
import { View } from "../protocol/view.ts";
import { keyHash } from "../ring/index.ts";
import { allNodes, DOCUMENT_VERSION, type TopologyDocument } from "../topology/document.ts";
import { type Namespace, namespaceOf } from "../topology/namespace.ts";
import { Ambushes } from "./ambush.ts";
import { drawFeatures, type Features } from "./features.ts";
import { History } from "./history.ts";
import type { Weather } from "./network.ts";
import { addressOf, drawPlan, type Plan, SERVERS } from "./plan.ts";
import type { SimProcess } from "./process.ts";
import { drawProfile, type Profile } from "./profile.ts";
import { Random } from "./random.ts";
import { SimRedis } from "./redis.ts";
import { Scheduler } from "./scheduler.ts";
import { type Item, SimServer } from "./server.ts";
import type { Rule } from "./without/rules.ts";

const RESERVED = "ringshift:";
const MAX_CRASHES = 3;
const MAX_PAUSE_MS = 40_000;
/** A packet that is longer on its way than its sender's registration lasts is beyond what rule T covers. */
const MAX_HELD_MS = 4_000;

export class World {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly profile: Profile;
  readonly features: Features;
  readonly without: ReadonlySet<Rule>;
  readonly namespace: Namespace = namespaceOf(undefined);
  readonly plan: Plan;
  readonly weather: Weather;
  /** By address. */
  readonly servers = new Map<string, SimServer>();
  readonly redis: SimRedis;
  readonly history = new History();
  readonly processes: SimProcess[] = [];
  /** Changes of the plan that are done. */
  changesDone = 0;
  readonly counts = new Map<string, number>();
  readonly ambushes: Ambushes;
  /** What no history can show: values whose life a move has lengthened. */
  readonly faults: string[] = [];
  /** A server that is gone for good. */
  gone: string | undefined;
  failOvers = 0;
  /** Called at each publication. */
  onPublication: () => void = () => {};
  /** The newest document ever published, also when Redis has forgotten it. */
  #newest: View;
  readonly #waiting = new Set<() => void>();
  #values = 0;
  #crashes = 0;

  /**
   * @param allowed names of the features that may be drawn; undefined: all
   * @param profile name of the profile; undefined: drawn
   */
  constructor(seed: number, allowed: ReadonlySet<string> | undefined, without: ReadonlySet<Rule>, profile?: string) {
    this.random = new Random(seed);
    this.profile = drawProfile(this.random, profile);
    this.features = drawFeatures(this.random, allowed, this.profile.on);
    this.without = without;
    this.scheduler = new Scheduler(this.random);
    const { random } = this;
    const keys = this.features.multi && !this.profile.single ? random.int(1, 3) : 1;
    this.plan = drawPlan(random, keys, this.profile);
    this.weather = {
      mean: random.pick([0.3, 1, 1, 4]),
      slow: this.features.slow ? random.pick([0.002, 0.01, 0.03]) : 0,
      slowMs: random.pick([30, 1_500, 4_000, 20_000]),
    };
    const now = () => this.scheduler.now;
    const lost = (server: SimServer, key: string, item: Item) => this.lost(server.name, key, item);
    for (const name of SERVERS) {
      this.servers.set(addressOf(name), new SimServer(name, now, random.next() * 1000, lost));
    }
    if (this.features.tight) random.pick([...this.servers.values()]).itemLimit = random.int(6, 12);
    this.ambushes = new Ambushes(this);
    this.redis = new SimRedis(now);
    const document = this.#firstDocument();
    this.#newest = new View(document, document.runId, 0);
    this.redis.publish(null, document);
    this.#fill(document);
    this.redis.announce = (announced) => this.#announced(announced);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  server(name: string): SimServer {
    for (const server of this.servers.values()) if (server.name === name) return server;
    throw new Error(`no server ${name}`);
  }

  /** A value that nobody has stored in this run: the checker tells states apart by their values. */
  newValue(): string {
    const value = String(1_000 + 7 * this.#values++);
    return this.features.tight && this.random.chance(0.3) ? `${value}00000000` : value;
  }

  /** Stops a process: for a time, or until one of the next publications. */
  pause(process: SimProcess): void {
    const { random, scheduler } = this;
    if (process.dead) return;
    if (random.chance(0.4)) {
      this.#pauseAcross(process, random.int(1, 4));
      return;
    }
    const ms = random.pick([10, 100, 300, 1_000, 2_000, 8_000, 60_000]) * random.next();
    scheduler.note(() => `FAULT ${process.name} stops for ${ms.toFixed(0)} ms`);
    scheduler.pause(process, ms);
  }

  #pauseAcross(process: SimProcess, publications: number): void {
    const { random, scheduler } = this;
    scheduler.note(() => `FAULT ${process.name} stops until ${publications} publications have been made`);
    scheduler.pause(process, MAX_PAUSE_MS);
    const wait = random.exponential(this.weather.mean * random.pick([1, 5, 20, 60]));
    this.publications(publications, MAX_PAUSE_MS, () =>
      scheduler.after(wait, undefined, () => scheduler.resume(process)),
    );
  }

  /** A write that is about to be sent: its process stops, and sends it in another phase, as far as rule T lets it. */
  delay(process: SimProcess): void {
    const { random, profile, features } = this;
    if (profile.held === 0 || !features.pause || !random.chance(profile.held / 2)) return;
    this.count("delay");
    this.#pauseAcross(process, random.int(1, 7));
  }

  crash(process: SimProcess): void {
    if (process.dead || this.#crashes++ > MAX_CRASHES) return;
    this.scheduler.note(() => `FAULT ${process.name} crashes`);
    process.crash();
  }

  /** Not the client that alone reaches a server: without Redis nothing would tell it that the others have given that up (docs/protocol.md, What remains). */
  cutFromRedis(process: SimProcess, forMs?: number): void {
    const { random, scheduler } = this;
    if (this.gone !== undefined && this.server(this.gone).reachedBy === process) return;
    const ms = forMs ?? random.pick([30, 300, 3_000, 20_000]) * random.next();
    scheduler.note(() => `FAULT ${process.name} cannot reach Redis for ${ms.toFixed(0)} ms`);
    process.store.cutUntil = Math.max(process.store.cutUntil, scheduler.now + ms);
    scheduler.at(process.store.cutUntil, process, () => process.announced());
  }

  /** All its items go, and its CAS numbers begin anew. */
  restart(server: SimServer, downMs: number): void {
    this.scheduler.note(() => `FAULT ${server.name} restarts, down ${downMs.toFixed(0)} ms`);
    server.restart();
    server.downUntil = Math.max(server.downUntil, this.scheduler.now + downMs);
    for (const process of this.processes) if (!process.dead) process.transport.serverLeft(server);
  }

  /** How long a flush stays on the wire, waiting for a publication; 0: not at all. */
  readonly holds = (): number => (this.random.chance(this.profile.held) ? this.random.next() * MAX_HELD_MS : 0);

  /** A server lost a value that nobody deleted: the checker may take it for gone, unless the present owner is another one that has it. */
  lost(server: string, key: string, item: Item): void {
    if (key.startsWith(RESERVED) || item.flags === PLACEHOLDER_FLAGS) return;
    const value = item.value.toString("latin1");
    const owner = this.#newest.owner(keyHash(key));
    const copy = this.server(owner.name).items.get(key);
    if (owner.name !== server && copy !== undefined && copy.value.equals(item.value)) {
      if (copy.flags !== PLACEHOLDER_FLAGS && (copy.expiresAt === 0 || copy.expiresAt > this.server(owner.name).second))
        return;
    }
    this.scheduler.note(() => `  loss of ${key} ${JSON.stringify(value)} at ${server}`);
    this.history.begin("~", "loss", key, value);
  }

  /** A command has run at a server: what it stored where only one process comes is lost for the others. */
  storedAlone(name: string, { line }: Command): void {
    if (this.gone !== name || this.server(name).reachedBy === undefined || line.startsWith("mg ")) return;
    const [, key = ""] = line.split(" ", 2);
    const item = this.server(name).items.get(key);
    if (item !== undefined) this.lost(name, key, item);
  }

  /** What has expired by now is gone for everybody: before an answer is taken down. */
  expire(): void {
    for (const server of this.servers.values()) server.expire();
  }

  /** Resolves in the process of the caller at the next publication, or after `ms`. */
  publication(ms: number, then: () => void): void {
    let over = false;
    const once = () => {
      if (over) return;
      over = true;
      this.#waiting.delete(once);
      then();
    };
    this.#waiting.add(once);
    this.scheduler.after(ms, undefined, once);
  }

  /** Calls back after so many publications, or `ms`. */
  publications(count: number, ms: number, then: () => void): void {
    const deadline = this.scheduler.now + ms;
    this.publication(ms, () => {
      if (count === 1 || this.scheduler.now >= deadline) then();
      else this.publications(count - 1, deadline - this.scheduler.now, then);
    });
  }

  #announced(document: TopologyDocument): void {
    if (document.epoch < this.#newest.document.epoch && document.runId === this.redis.runId)
      this.#goneOnWithout(document);
    if (document.epoch > this.#newest.document.epoch) {
      this.#newest = new View(document, document.runId, 0);
      if (document.phase === "S" && document.settling) this.count("migrations");
    }
    for (const process of this.processes) process.announced();
    for (const waiting of [...this.#waiting]) waiting();
    this.onPublication();
  }

  /**
   * The document is confirmed, and newer ones are void. If every fence that would have shown them is gone, so is what stands on servers that nobody knows
   * any more; else nothing is lost by rights.
   */
  #goneOnWithout(document: TopologyDocument): void {
    const known = new Set(allNodes(document).map(({ name }) => name));
    const shown = [...known].some((name) => {
      const fence = this.server(name).items.get(this.namespace.fenceKey);
      return (parseFence(fence?.value.toString("latin1") ?? "").number ?? 0) > (document.fences[name] ?? 0);
    });
    if (!shown) {
      for (const server of this.servers.values()) {
        if (!known.has(server.name)) for (const [key, item] of server.items) this.lost(server.name, key, item);
      }
    }
    this.#newest = new View(document, document.runId, 0);
  }

  #firstDocument(): TopologyDocument {
    const nodes = this.plan.first.map(({ name, vnodes }, index) => ({ index, name, address: addressOf(name), vnodes }));
    return {
      version: DOCUMENT_VERSION,
      id: "first",
      epoch: 0,
      phase: "S",
      ring: { compat: "ringshift", hashTags: false },
      nodes,
      previousNodes: null,
      fences: Object.fromEntries(nodes.map(({ name }) => [name, 0])),
      settling: false,
      generation: 0,
      migrations: 0,
      nextIndex: nodes.length,
      runId: this.redis.runId,
      untrusted: [],
      operation: null,
    };
  }

  #fill(document: TopologyDocument): void {
    for (const { name } of document.nodes) {
      const fence = formatFence(0, `000000000000000${name}`, false);
      this.server(name).execute(classicSet(this.namespace.fenceKey, 0, 0, Buffer.from(fence)));
    }
    for (const [i, key] of this.plan.keys.entries()) {
      if (!this.random.chance(this.features.fresh ? 0.1 : 0.8)) continue;
      const value = String(90_000 + i);
      const route = this.#newest.route(key);
      const ttl = this.features.ttl && this.random.chance(0.3) ? this.random.int(1, 4) : 0;
      this.server(route.node.name).execute(metaSet(key, Buffer.from(value), { flags: 0, ttl }));
      this.redis.record(document.generation, [{ point: route.point, keys: [key] }]);
      this.history.end(this.history.begin("init", "set", key, value), true);
    }
  }
}
