/** Rules about what Redis is asked and believed, switched off. */
import { View } from "../../protocol/view.ts";
import type { TopologyDocument } from "../../topology/document.ts";
import type { PointEntries, Publication, Registration, Snapshot } from "../../topology/store.ts";
import type { SimProcess } from "../process.ts";
import { SimStore, type StoreParts } from "../store.ts";
import type { RulesOff } from "./rules.ts";

export class TamperedStore extends SimStore {
  readonly #off: RulesOff;
  readonly #process: SimProcess;

  constructor(parts: StoreParts, off: RulesOff, process: SimProcess) {
    super(parts);
    this.#off = off;
    this.#process = process;
  }

  override async read(): Promise<Snapshot> {
    const { document, runId } = await super.read();
    return { document: document && this.#shown(document), runId: this.#run(document, runId) };
  }

  override async heartbeat(registration: Registration, knownId: string | null) {
    const { document, runId } = await super.heartbeat(registration, knownId);
    const known = document ?? this.#process.session.view.document;
    return { document: document && this.#shown(document), runId: this.#run(known, runId) };
  }

  override publish(expectedId: string | null, document: TopologyDocument, requiredRunId = ""): Promise<Publication> {
    const off = this.#off;
    const { redis } = this.#process.world;
    let next = document;
    if (off.has("noputback") && requiredRunId === "" && this.#process.opened) return Promise.resolve("changed");
    if (off.has("w-void")) next = { ...next, confirmations: [] };
    if (off.has("w-epoch")) next = { ...next, id: `epoch ${next.epoch}` };
    if (off.has("noF") && next.phase === "F") next = gainingOnly(next, redis.document?.fences ?? {});
    if (off.has("w-deadnow") && next.phase === "D" && next.dead?.length) {
      next = { ...next, fences: redis.document?.fences ?? next.fences };
    }
    if (off.has("w-pubrun") && requiredRunId !== "") next = { ...next, runId: redis.runId };
    const any = off.has("w-pubrun") || off.has("norunid");
    return super.publish(expectedId, next, any ? "" : requiredRunId);
  }

  override record(generation: number, entries: readonly PointEntries[]): Promise<string | null> {
    const recorded = super.record(generation, entries);
    if (!this.#off.has("w-par")) return recorded;
    recorded.catch(() => {});
    return Promise.resolve(this.#process.session.view.document.id);
  }

  override unacknowledged(epoch: number): Promise<string[]> {
    const dead = this.#off.has("w-deadnow") && this.#process.session.view.document.dead?.length;
    return this.#off.has("nohold") || dead ? Promise.resolve([]) : super.unacknowledged(epoch);
  }

  #shown(document: TopologyDocument): TopologyDocument {
    if (this.#off.has("w-index")) return { ...document, untrusted: [] };
    return this.#off.has("w-abortF") ? { ...document, recovered: false } : document;
  }

  #run(document: TopologyDocument | null, runId: string): string {
    return this.#off.has("norunid") ? (document?.runId ?? runId) : runId;
  }
}

/** Losing servers keep the numbers that they have. */
function gainingOnly(document: TopologyDocument, before: TopologyDocument["fences"]): TopologyDocument {
  const { diff } = new View(document, document.runId, 0);
  const gaining = new Set(diff!.arcs.flatMap((arc) => (arc.moves ? [arc.toNode] : [])));
  const fences = Object.entries(document.fences).map(([name, number]) => {
    return [name, gaining.has(name) ? number : (before[name] ?? number)];
  });
  return { ...document, fences: Object.fromEntries(fences) };
}
