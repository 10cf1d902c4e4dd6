/**
 * What happened to a run beside its operations: documents, faults, what servers lost. From this alone it follows, by rule, what physics may have
 * taken of a key: an incident names one server (or none: all of them) and a time, and concerns the keys that the server owned, or was about
 * to own, by any document of that time.
 */
import { View } from "../protocol/view.ts";
import type { TopologyDocument } from "../topology/document.ts";
import { isAmbiguous, type Loss, type Operation, type Verb } from "./history.ts";
import type { Tolerance } from "./register.ts";

/** A document is seen this much later than it was published, at most, and still acted by for as long by those who have not heard. */
const BLUR_MS = 2_000;
/** Memcached's clock has whole seconds, and ticks late on a busy machine. */
const CLOCK_MS = 2_500;
/** A move drifts by up to a second, and its puller may be slow by as long as a placeholder lives. */
const MOVE_MS = 4_000;

export interface Seen {
  readonly at: number;
  readonly document: TopologyDocument;
}

/** Something that takes values, with the address of the server; undefined: any. */
export interface Incident extends Loss {
  readonly address: string | undefined;
  /** Undefined: every ring. */
  readonly ring?: string | undefined;
  /** Only of keys that were about to get this owner. */
  readonly gaining?: boolean | undefined;
}

/** A time in which a server or a client stood still: clocks and TTLs with it. */
export interface Pause {
  readonly from: number;
  readonly to: number;
}

/** A line for a printed history. */
export interface Note {
  readonly at: number;
  readonly text: string;
}

const STORING: ReadonlySet<Verb> = new Set(["set", "add", "replace", "append", "prepend", "cas", "incr", "decr"]);
/** A call is at its server, if at all, this long after it was made: its time limit, and what a connection holds back. */
const LATE_REFUSAL_MS = 5_000;

export class Timeline {
  readonly #documents = new Map<string, { readonly at: number; readonly view: View }[]>();
  readonly incidents: Incident[] = [];
  readonly pauses: Pause[] = [];
  readonly notes: Note[] = [];
  /** Addresses of the servers that refuse values, for their size or for want of memory. */
  readonly refusing = new Set<string>();
  /** Times in which Redis' run id was not a ring's document's. */
  readonly unconfirmed: { readonly ring: string; readonly from: number; readonly to: number }[] = [];

  /** How often a ring was seen to begin to copy, or to go on with it. */
  copyings = 0;

  note(at: number, text: string): void {
    this.notes.push({ at, text });
  }

  saw(ring: string, { at, document }: Seen): void {
    const list = this.#documents.get(ring) ?? [];
    this.#documents.set(ring, list);
    list.push({ at, view: new View(document, document.runId, 0) });
    const { epoch, phase, settling, operation } = document;
    if (phase === "D") this.copyings++;
    const what = operation === null ? "" : ` ${operation.command}`;
    this.notes.push({ at, text: `ring ${ring}: epoch ${epoch} ${phase}${settling ? " settling" : ""}${what}` });
  }

  /** All of it, for whoever looks into a log that was kept. */
  toText(rings: readonly string[]): string {
    const { incidents, pauses, unconfirmed, notes } = this;
    const documents = Object.fromEntries(rings.map((ring) => [ring, [...this.documents(ring)]]));
    return JSON.stringify({ incidents, pauses, unconfirmed, documents, notes });
  }

  /** The documents of a ring, each with the time until which it was the present one. */
  *documents(
    ring: string,
  ): Iterable<{ readonly from: number; readonly to: number; readonly document: TopologyDocument }> {
    const list = this.#documents.get(ring) ?? [];
    for (const [i, { at, view }] of list.entries()) {
      yield { from: at, to: list[i + 1]?.at ?? Number.POSITIVE_INFINITY, document: view.document };
    }
  }

  latest(ring: string): TopologyDocument | undefined {
    return this.#documents.get(ring)?.at(-1)?.view.document;
  }

  /** Changes of the ring that were under way at some time from `from` to `to`. */
  movesBetween(ring: string, from: number, to: number): number {
    const operations = new Set<string>();
    for (const view of this.#during(ring, from, to)) {
      if (view.document.phase === "D") operations.add(view.document.operation?.id ?? "");
    }
    return operations.size;
  }

  /** What may have taken this key's value. @param key as it goes over the wire */
  lossesOf(ring: string, key: string): Loss[] {
    const losses: Loss[] = [];
    for (const { from, to, cause, address, ring: only, gaining = false } of this.incidents) {
      if (only !== undefined && only !== ring) continue;
      if (address === undefined || this.#ownersDuring(ring, key, from, to, gaining).has(address)) {
        losses.push({ from, to, cause });
      }
    }
    return losses;
  }

  /** A write of unknown effect may have been refused, which is known of `refused` ones, and have cost the value that was there. */
  refusalsOf(ring: string, key: string, operations: readonly Operation[]): Loss[] {
    const losses: Loss[] = [];
    for (const { at, end, verb, outcome } of operations) {
      if (!STORING.has(verb) || !isAmbiguous({ outcome })) continue;
      const to = Math.min(end, at + LATE_REFUSAL_MS) + LATE_REFUSAL_MS;
      const owners = this.#ownersDuring(ring, key, at, to, false);
      if ([...owners].some((address) => this.refusing.has(address))) losses.push({ from: at, to, cause: "unstorable" });
    }
    return losses;
  }

  tolerance(ring: string): Tolerance {
    const slack = (from: number, to: number) =>
      CLOCK_MS + MOVE_MS * this.movesBetween(ring, from, to) + this.#pausedBetween(from, to);
    return { shorter: slack, longer: slack };
  }

  /** Addresses of the servers that owned the key by some document of that time; with `gaining`, only of those that it was moving to. */
  #ownersDuring(ring: string, key: string, from: number, to: number, gaining: boolean): Set<string> {
    const owners = new Set<string>();
    for (const view of this.#during(ring, from, to)) {
      const hash = view.hashOf(key);
      const [owner, previous] = [view.owner(hash), view.previousOwner(hash)];
      if (gaining && owner.index === previous.index) continue;
      owners.add(owner.address);
      if (!gaining) owners.add(previous.address);
    }
    return owners;
  }

  *#during(ring: string, from: number, to: number): Iterable<View> {
    const list = this.#documents.get(ring) ?? [];
    for (const [i, { at, view }] of list.entries()) {
      const end = list[i + 1]?.at ?? Number.POSITIVE_INFINITY;
      if (at - BLUR_MS <= to && end + BLUR_MS >= from) yield view;
    }
  }

  #pausedBetween(from: number, to: number): number {
    let total = 0;
    for (const pause of this.pauses) total += Math.max(0, Math.min(pause.to, to) - Math.max(pause.from, from));
    return total;
  }
}
