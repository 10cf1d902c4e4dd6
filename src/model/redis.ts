/**
 * A simulated Redis: the document with its compare-and-set, the index sets, registrations, journal and lease. Every script is one step.
 *
 * Each write leaves an undo behind, so that a fail-over can take back the last ones: the new master has a run id of its own and has never
 * seen them.
 */
import type { TopologyDocument } from "../topology/document.ts";
import {
  type Control,
  type IndexSet,
  type JournalEntry,
  type PointEntries,
  type Publication,
  REGISTRATION_MS,
  type Registration,
  type Snapshot,
} from "../topology/store.ts";

interface Undo {
  readonly publication: boolean;
  readonly run: () => void;
}

export class SimRedis {
  document: TopologyDocument | null = null;
  runId = "run-0";
  /** Told of each new document. */
  announce: (document: TopologyDocument) => void = () => {};
  readonly #now: () => number;
  readonly #sets = new Map<string, Set<string>>();
  readonly #clients = new Map<string, { until: number; acknowledged: number }>();
  readonly #undos: Undo[] = [];
  #journal: JournalEntry | undefined;
  #control: Control | undefined;
  #copied = new Set<string>();
  #lease: { readonly holder: string; readonly until: number } | undefined;
  #runs = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Forgets the last `writes` writes, or everything since `publications` publications ago, and starts a new run. */
  failOver(forget: { readonly writes: number } | { readonly publications: number }): void {
    let left = "writes" in forget ? forget.writes : forget.publications;
    while (left > 0) {
      const undo = this.#undos.pop();
      if (undo === undefined) break;
      undo.run();
      if ("writes" in forget || undo.publication) left--;
    }
    this.runId = `run-${++this.#runs}`;
  }

  /** FLUSHALL: all is forgotten, under the same run id. */
  flushAll(): void {
    this.document = null;
    this.#undos.length = 0;
    this.#sets.clear();
    this.#clients.clear();
    this.#journal = this.#lease = this.#control = undefined;
    this.#copied = new Set();
  }

  read(): Snapshot {
    return { document: this.document, runId: this.runId };
  }

  publish(expectedId: string | null, document: TopologyDocument, requiredRunId = ""): Publication {
    const id = this.document?.id ?? null;
    if (id === document.id) return "published";
    if (id !== expectedId) return "changed";
    if (requiredRunId !== "" && requiredRunId !== this.runId) return "failover";
    const before = this.document;
    this.#undos.push({
      publication: true,
      run: () => {
        this.document = before;
      },
    });
    this.document = document;
    this.announce(document);
    return "published";
  }

  record(generation: number, entries: readonly PointEntries[]): string | null {
    for (const { point, keys } of entries) {
      const set = this.#set(generation, point);
      for (const key of keys) {
        if (set.has(key)) continue;
        set.add(key);
        this.#undo(() => set.delete(key));
      }
    }
    return this.document?.id ?? null;
  }

  removeEntries(documentId: string, generation: number, entries: readonly PointEntries[]): boolean {
    if (this.document?.id !== documentId) return false;
    for (const { point, keys } of entries) {
      const set = this.#set(generation, point);
      for (const key of keys) if (set.delete(key)) this.#undo(() => set.add(key));
    }
    return true;
  }

  entries(generation: number, point: number): string[] {
    return [...this.#set(generation, point)];
  }

  heartbeat({ clientId, acknowledged }: Registration, knownId: string | null) {
    const before = this.#clients.get(clientId);
    this.#undo(() => (before === undefined ? this.#clients.delete(clientId) : this.#clients.set(clientId, before)));
    this.#clients.set(clientId, { until: this.#now() + REGISTRATION_MS, acknowledged });
    const { document, runId } = this;
    return { document: document !== null && document.id === knownId ? undefined : document, runId };
  }

  unregister(clientId: string): void {
    this.#clients.delete(clientId);
  }

  unacknowledged(epoch: number): string[] {
    const late: string[] = [];
    for (const [id, { until, acknowledged }] of this.#clients) {
      if (until > this.#now() && acknowledged < epoch) late.push(id);
    }
    return late;
  }

  readJournal(): JournalEntry | undefined {
    return this.#journal;
  }

  writeJournal(entry: JournalEntry): void {
    const before = this.#journal;
    this.#undo(() => {
      this.#journal = before;
    });
    this.#journal = entry;
  }

  copiedPoints(operation: string): Set<number> {
    const own = [...this.#copied].filter((member) => member.startsWith(`${operation}:`));
    return new Set(own.map((member) => Number(member.slice(operation.length + 1))));
  }

  addCopiedPoint(operation: string, point: number): void {
    const member = `${operation}:${point}`;
    if (this.#copied.has(member)) return;
    const set = this.#copied;
    this.#undo(() => set.delete(member));
    set.add(member);
  }

  clearCopiedPoints(): void {
    const before = this.#copied;
    this.#undo(() => {
      this.#copied = before;
    });
    this.#copied = new Set();
  }

  readControl(): Control | undefined {
    return this.#control;
  }

  writeControl(control: Control | undefined): void {
    const before = this.#control;
    this.#undo(() => {
      this.#control = before;
    });
    this.#control = control;
  }

  sets(): IndexSet[] {
    return [...this.#sets.keys()].map((name) => {
      const [generation, point] = name.split(":").map(Number);
      return { generation: generation!, point: point! };
    });
  }

  unlinkSets(sets: readonly IndexSet[]): void {
    for (const { generation, point } of sets) {
      const name = `${generation}:${point}`;
      const set = this.#sets.get(name);
      if (set === undefined) continue;
      this.#undo(() => this.#sets.set(name, set));
      this.#sets.delete(name);
    }
  }

  listed(entries: readonly (IndexSet & { readonly key: string })[]): boolean[] {
    return entries.map(({ generation, point, key }) => this.#set(generation, point).has(key));
  }

  lease(holder: string, ms: number): string {
    const standing = this.leaseHolder();
    if (standing !== null && standing !== holder) return standing;
    this.#lease = { holder, until: this.#now() + ms };
    return holder;
  }

  releaseLease(holder: string): void {
    if (this.#lease?.holder === holder) this.#lease = undefined;
  }

  leaseHolder(): string | null {
    return this.#lease !== undefined && this.#lease.until > this.#now() ? this.#lease.holder : null;
  }

  #set(generation: number, point: number): Set<string> {
    const name = `${generation}:${point}`;
    let set = this.#sets.get(name);
    if (set === undefined) {
      set = new Set();
      this.#sets.set(name, set);
    }
    return set;
  }

  #undo(run: () => void): void {
    this.#undos.push({ publication: false, run });
  }
}
