/**
 * One process' connection to the simulated Redis, in the place of `topology/redis-store.ts`: each call is a request, a step at Redis and a
 * reply, in order. A call may fail although it ran, and one that a fail-over catches may run on both masters (ioredis sends it again).
 */
import { RingshiftError } from "../errors.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type {
  Control,
  IndexSet,
  JournalEntry,
  OperatorStore,
  PointEntries,
  Publication,
  Registration,
  Snapshot,
} from "../topology/store.ts";
import type { Weather } from "./network.ts";
import type { SimRedis } from "./redis.ts";
import type { Event, Owner, Scheduler } from "./scheduler.ts";

const COMMAND_TIMEOUT_MS = 1_000;

interface Call {
  readonly name: string;
  readonly step: (redis: SimRedis) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: RingshiftError) => void;
  /** Its time limit. */
  limit: Event | undefined;
  over: boolean;
}

export interface StoreParts {
  readonly scheduler: Scheduler;
  readonly owner: Owner;
  readonly redis: SimRedis;
  readonly weather: Weather;
  /** Told when a publication of this process has been made. */
  readonly published: () => void;
}

export class SimStore implements OperatorStore {
  /** Redis does not answer this process until then. */
  cutUntil = 0;
  readonly #parts: StoreParts;
  readonly #open = new Set<Call>();
  #stepAt = 0;
  #replyAt = 0;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  read(): Promise<Snapshot> {
    return this.#call("read", (redis) => redis.read());
  }

  publish(expectedId: string | null, document: TopologyDocument, requiredRunId = ""): Promise<Publication> {
    const what = `publish e${document.epoch} ${document.phase}${document.settling ? " settling" : ""}`;
    return this.#call(what, (redis) => {
      const outcome = redis.publish(expectedId, document, requiredRunId);
      if (outcome === "published") this.#parts.published();
      return outcome;
    });
  }

  record(generation: number, entries: readonly PointEntries[]): Promise<string | null> {
    return this.#call("record", (redis) => redis.record(generation, entries));
  }

  removeEntries(documentId: string, generation: number, entries: readonly PointEntries[]): Promise<boolean> {
    return this.#call("removeEntries", (redis) => redis.removeEntries(documentId, generation, entries));
  }

  heartbeat(registration: Registration, knownId: string | null) {
    return this.#call(`heartbeat e${registration.acknowledged}`, (redis) => redis.heartbeat(registration, knownId));
  }

  unregister(clientId: string): Promise<void> {
    return this.#call("unregister", (redis) => redis.unregister(clientId));
  }

  unacknowledged(epoch: number): Promise<string[]> {
    return this.#call("unacknowledged", (redis) => redis.unacknowledged(epoch));
  }

  async *entries(generation: number, point: number): AsyncIterable<string[]> {
    const keys = await this.#call(`entries ${point}`, (redis) => redis.entries(generation, point));
    if (keys.length > 0) yield keys;
  }

  counts(generation: number, points: readonly number[]): Promise<number[]> {
    return this.#call("counts", (redis) => points.map((point) => redis.entries(generation, point).length));
  }

  readJournal(): Promise<JournalEntry | undefined> {
    return this.#call("readJournal", (redis) => redis.readJournal());
  }

  writeJournal(entry: JournalEntry): Promise<void> {
    return this.#call(`writeJournal ${entry.state}`, (redis) => redis.writeJournal(entry));
  }

  copiedPoints(operation: string): Promise<Set<number>> {
    return this.#call("copiedPoints", (redis) => redis.copiedPoints(operation));
  }

  addCopiedPoint(operation: string, point: number): Promise<void> {
    return this.#call("addCopiedPoint", (redis) => redis.addCopiedPoint(operation, point));
  }

  clearCopiedPoints(): Promise<void> {
    return this.#call("clearCopiedPoints", (redis) => redis.clearCopiedPoints());
  }

  readControl(): Promise<Control | undefined> {
    return this.#call("readControl", (redis) => redis.readControl());
  }

  writeControl(control: Control | undefined): Promise<void> {
    return this.#call("writeControl", (redis) => redis.writeControl(control));
  }

  async *sets(): AsyncIterable<IndexSet[]> {
    yield await this.#call("sets", (redis) => redis.sets());
  }

  unlinkSets(sets: readonly IndexSet[]): Promise<void> {
    return this.#call("unlinkSets", (redis) => redis.unlinkSets(sets));
  }

  listed(entries: readonly (IndexSet & { readonly key: string })[]): Promise<boolean[]> {
    return this.#call("listed", (redis) => redis.listed(entries));
  }

  leaseHolder(): Promise<string | null> {
    return this.#call("leaseHolder", (redis) => redis.leaseHolder());
  }

  lease(holder: string, ms: number): Promise<string> {
    return this.#call("lease", (redis) => redis.lease(holder, ms));
  }

  releaseLease(holder: string): Promise<void> {
    return this.#call("releaseLease", (redis) => redis.releaseLease(holder));
  }

  /** Redis went over to another master: what is under way fails, or is sent again. */
  failedOver(): void {
    const { random } = this.#parts.scheduler;
    for (const call of [...this.#open]) {
      if (random.chance(0.5)) this.#fail(call);
      else this.#send(call);
    }
  }

  #call<T>(name: string, step: (redis: SimRedis) => T): Promise<T> {
    const { scheduler, owner } = this.#parts;
    return new Promise<T>((resolve, reject) => {
      const settle = resolve as (value: unknown) => void;
      const call: Call = { name, step, resolve: settle, reject, limit: undefined, over: false };
      this.#open.add(call);
      call.limit = scheduler.after(COMMAND_TIMEOUT_MS, owner, () => this.#fail(call));
      this.#send(call);
    });
  }

  #send(call: Call): void {
    const { scheduler, weather } = this.#parts;
    const { random } = scheduler;
    if (this.cutUntil > scheduler.now) {
      if (random.chance(0.5))
        scheduler.after(random.exponential(weather.mean), this.#parts.owner, () => this.#fail(call));
      return;
    }
    this.#stepAt = Math.max(this.#stepAt, scheduler.now + random.exponential(weather.mean / 4));
    scheduler.at(this.#stepAt, undefined, () => this.#run(call));
  }

  #run(call: Call): void {
    const { scheduler, weather, owner, redis } = this.#parts;
    if (this.cutUntil > scheduler.now && scheduler.random.chance(0.5)) return;
    const answer = call.step(redis);
    if (scheduler.trace !== undefined) {
      const who = `${owner.name}${owner.dead ? " (dead)" : ""}`;
      scheduler.note(() => `${who} redis ${call.name} -> ${showAnswer(answer)}`);
    }
    if (this.cutUntil > scheduler.now) return;
    this.#replyAt = Math.max(this.#replyAt, scheduler.now + scheduler.random.exponential(weather.mean / 4));
    scheduler.at(this.#replyAt, owner, () => {
      if (call.over) return;
      this.#end(call);
      call.resolve(answer);
    });
  }

  #end(call: Call): void {
    call.over = true;
    this.#open.delete(call);
    this.#parts.scheduler.cancel(call.limit!);
  }

  #fail(call: Call): void {
    if (call.over) return;
    this.#end(call);
    const { scheduler, owner } = this.#parts;
    scheduler.after(0, owner, () =>
      call.reject(new RingshiftError("REDIS_UNREACHABLE", "the simulated Redis does not answer")),
    );
  }
}

function showAnswer(answer: unknown): string {
  if (typeof answer === "string" && /^[0-9a-f]{16}$/.test(answer)) return "a document's id"; // differs from run to run
  if (answer === null || typeof answer !== "object") return String(answer);
  if ("document" in answer && "runId" in answer) {
    const document = answer.document as TopologyDocument | null | undefined;
    return document
      ? `e${document.epoch} ${document.phase} (${document.runId}; now ${answer.runId})`
      : `same (${answer.runId})`;
  }
  return JSON.stringify(answer instanceof Set ? [...answer] : answer);
}
