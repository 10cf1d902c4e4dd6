/**
 * Is the history of one key that of a single Memcached which never moved it? Operations overlap, some have an effect that nobody knows, and
 * servers that are killed take values along, so there are several ways in which things may have gone. The checker follows all of them
 * ("just in time": Lowe, Testing for linearizability, 2017):
 *
 *   ways: { state, operations that took effect before their answer, losses needed }
 *
 *   call                    open from now on
 *   answer                  each way: which open operations, in which order, lead to this one's taking effect with this answer?
 *   ambiguous, its bound    each way twice: without it, and with it
 *   loss, its end           the same
 *
 * No way left: a violation. Two rules keep the search small without losing any way: an operation takes effect only when an answer needs it, and
 * an effect that nobody need have (ambiguous, or a loss) is taken only if the next one depends on it.
 */
import { boundOf, type Event, eventsOf } from "./events.ts";
import { isAmbiguous, type Loss, type LossCause, type Operation } from "./history.ts";
import { ABSENT, apply, mayHaveExpired, type Tolerance } from "./register.ts";
import { type Way, Ways, withId } from "./ways.ts";

/** Ways looked at for one answer before a key counts as undecided. */
const MAX_STEPS = 100_000;
/**
 * Effects that nobody need have, in one search: of many writes of unknown effect few take effect between two answers. What is not found with few
 * is searched for with more, and at last with any number, before it counts.
 */
const OPTIONAL = [3, 5, Number.POSITIVE_INFINITY] as const;

export type ViolationKind = "lostWrite" | "resurrection" | "staleRead" | "lostIncrement" | "ttlGrown";

export interface Violation {
  readonly kind: ViolationKind;
  /** The operation whose answer no way leads to. */
  readonly operation: Operation;
  /** What it could have found. */
  readonly possible: readonly (string | undefined)[];
}

export interface KeyVerdict {
  readonly violation: Violation | undefined;
  /** Too many ways to follow: nothing is said about the rest of the key's history. */
  readonly undecided: boolean;
  /** Losses without which the history could not be explained, the fewest that do. */
  readonly losses: readonly LossCause[];
}

/** A step in the search: `idle` when the last effect was one that nobody need have and that nothing has depended on yet. */
interface Step {
  readonly way: Way;
  readonly idle: boolean;
}

type Goal = { readonly operation: Operation } | { readonly cause: LossCause };

/** @param operations of the key, in any order @param losses that may have taken its value */
export function checkKey(operations: readonly Operation[], losses: readonly Loss[], tolerance: Tolerance): KeyVerdict {
  const events = eventsOf(operations, losses);
  let verdict: KeyVerdict = { violation: undefined, undecided: true, losses: [] };
  for (const optional of OPTIONAL) {
    verdict = follow(events, tolerance, optional);
    if (verdict.violation === undefined) break; // what is too much with few is too much with more
  }
  return verdict;
}

function follow(events: readonly Event[], tolerance: Tolerance, optional: number): KeyVerdict {
  const checker = new KeyChecker(tolerance, optional);
  for (const event of events) {
    checker.take(event);
    if (checker.violation !== undefined || checker.undecided) break;
  }
  const { violation, undecided, losses } = checker;
  return { violation: undecided ? undefined : violation, undecided, losses };
}

class KeyChecker {
  readonly #tolerance: Tolerance;
  readonly #optional: number;
  readonly #open = new Map<number, Operation>();
  readonly #losses = new Set<Loss>();
  #ways: Way[] = [{ state: ABSENT, applied: [], losses: [] }];
  #steps = 0;
  readonly #isOptional = (id: number): boolean => {
    const operation = this.#open.get(id);
    return operation !== undefined && isAmbiguous(operation);
  };
  violation: Violation | undefined;

  /** @param optional effects that nobody need have, at most, in one search */
  constructor(tolerance: Tolerance, optional: number) {
    this.#tolerance = tolerance;
    this.#optional = optional;
  }

  get undecided(): boolean {
    return this.#steps > MAX_STEPS;
  }

  get losses(): readonly LossCause[] {
    return this.#ways.reduce(
      (best, way) => (way.losses.length < best.length ? way.losses : best),
      this.#ways[0]!.losses,
    );
  }

  take(event: Event): void {
    this.#steps = 0;
    switch (event.kind) {
      case "call":
        this.#open.set(event.operation.id, event.operation);
        return;
      case "lossBegins":
        this.#losses.add(event.loss);
        return;
      case "answer":
        this.#answer(event.operation, event.at);
        return;
      case "lossEnds":
        this.#fork({ cause: event.loss.cause }, event.at);
        this.#losses.delete(event.loss);
        return;
      case "bound":
        this.#fork({ operation: event.operation }, event.at);
        this.#forget(event.operation.id);
        return;
    }
  }

  #answer(operation: Operation, at: number): void {
    const survivors = new Ways(this.#isOptional);
    for (const way of this.#ways) {
      if (way.applied.includes(operation.id)) survivors.add(way);
      else this.#search(way, { operation }, at, survivors);
    }
    if (this.undecided) return;
    if (survivors.list.length === 0) {
      this.violation = this.#violationBy(operation, at);
      return;
    }
    this.#ways = survivors.list;
    this.#forget(operation.id);
  }

  /** What may have happened by now at the latest: each way without it, and with it. */
  #fork(goal: Goal, at: number): void {
    const both = new Ways(this.#isOptional);
    for (const way of this.#ways) both.add(way);
    for (const way of this.#ways) {
      if (!("operation" in goal && way.applied.includes(goal.operation.id))) this.#search(way, goal, at, both);
    }
    this.#ways = both.list;
  }

  #forget(id: number): void {
    this.#open.delete(id);
    const ways = new Ways(this.#isOptional);
    for (const way of this.#ways) {
      const applied = way.applied.includes(id) ? way.applied.filter((other) => other !== id) : way.applied;
      ways.add(applied === way.applied ? way : { ...way, applied });
    }
    this.#ways = ways.list;
  }

  /**
   * Adds to `found` the ways that lead from `from` through open operations to the goal, those with fewer optional effects first. Where the goal's
   * answer tells the value, more of them lead to nothing new.
   */
  #search(from: Way, goal: Goal, at: number, found: Ways): void {
    const seen = { idle: new Ways(this.#isOptional), busy: new Ways(this.#isOptional) };
    seen.busy.add(from);
    let level: Step[] = [{ way: from, idle: false }];
    for (let optional = 0; level.length > 0 && optional <= this.#optional; optional++) {
      const deeper: Step[] = [];
      let reachedHere = false;
      for (let step = level.pop(); step !== undefined; step = level.pop()) {
        if (++this.#steps > MAX_STEPS) return;
        const reached = this.#reach(step, goal, at);
        if (reached !== undefined) {
          found.add(reached);
          reachedHere = true;
        }
        for (const next of this.#steppingOn(step, goal, at)) {
          if ((next.idle ? seen.idle : seen.busy).add(next.way)) (next.idle ? deeper : level).push(next);
        }
      }
      if (reachedHere && tellsValue(goal) && Number.isFinite(this.#optional)) return;
      level = deeper;
    }
  }

  #reach({ way, idle }: Step, goal: Goal, at: number): Way | undefined {
    if ("cause" in goal) {
      if (idle || way.state.value === undefined) return undefined;
      return { ...way, state: ABSENT, losses: [...way.losses, goal.cause] };
    }
    const { operation } = goal;
    if (idle && overwrites(operation)) return undefined; // the way without the idle effect leads there too
    const state = apply(operation, way.state, at, this.#tolerance);
    if (state === undefined) return undefined;
    return { ...way, state, applied: withId(way.applied, operation.id) };
  }

  *#steppingOn({ way, idle }: Step, goal: Goal, at: number): Iterable<Step> {
    const skip = "operation" in goal ? goal.operation.id : undefined;
    const next = this.#nextOfAlike(way, skip);
    for (const operation of this.#open.values()) {
      if (operation.id === skip || way.applied.includes(operation.id)) continue;
      const kind = alike(operation);
      if (kind !== undefined && next.get(kind) !== operation) continue;
      if (idle && overwrites(operation)) continue;
      const state = apply(operation, way.state, at, this.#tolerance);
      if (state === undefined) continue;
      const optional = isAmbiguous(operation);
      if (optional && state === way.state) continue;
      yield { way: { ...way, state, applied: withId(way.applied, operation.id) }, idle: optional };
    }
    if (way.state.value === undefined) return;
    // also after an effect that nobody need have: it may be that which has given the TTL
    if (mayHaveExpired(way.state, at, this.#tolerance)) yield { way: { ...way, state: ABSENT }, idle: true };
    if (idle) return;
    for (const { cause } of this.#losses) {
      yield { way: { ...way, state: ABSENT, losses: [...way.losses, cause] }, idle: true };
    }
  }

  /**
   * Deletes of unknown effect are all alike, and so are touches with the same TTL: of those that are left the one is taken that the way can keep for
   * the shortest time; any other choice leads to less. Without this twenty of them, which the clients of a dead server leave within
   * seconds, would be a million ways.
   */
  #nextOfAlike(way: Way, skip: number | undefined): ReadonlyMap<string, Operation> {
    const next = new Map<string, Operation>();
    for (const operation of this.#open.values()) {
      const kind = alike(operation);
      if (kind === undefined || operation.id === skip || way.applied.includes(operation.id)) continue;
      const other = next.get(kind);
      if (other === undefined || boundOf(operation) < boundOf(other)) next.set(kind, operation);
    }
    return next;
  }

  #violationBy(operation: Operation, at: number): Violation {
    const states = this.#ways.map((way) => way.state);
    const possible = [...new Set(states.map(({ value }) => value))];
    const grown = states.some(
      (state) => apply(operation, { ...state, late: Number.POSITIVE_INFINITY }, at, this.#tolerance) !== undefined,
    );
    return { kind: grown ? "ttlGrown" : kindOf(operation, possible), operation, possible };
  }
}

/** The result does not depend on what was there. */
function overwrites(operation: Operation): boolean {
  return operation.verb === "set" || isAmbiguousDelete(operation);
}

/** Operations of unknown effect for which this is the same have the same effect. Undefined: one of its own. */
function alike(operation: Operation): string | undefined {
  const { verb, ttl, outcome } = operation;
  if (!isAmbiguous(operation) || outcome === "open") return undefined; // how long that may take nobody knows
  if (verb === "delete") return verb;
  return verb === "touch" || verb === "gat" ? `touch ${ttl}` : undefined;
}

function isAmbiguousDelete(operation: Operation): boolean {
  return operation.verb === "delete" && isAmbiguous(operation);
}

/** After this answer the value is known, whatever it was before. */
function tellsValue(goal: Goal): boolean {
  if ("cause" in goal || isAmbiguous(goal.operation)) return false;
  return ["get", "gets", "gat", "incr", "decr", "cas"].includes(goal.operation.verb);
}

function kindOf({ verb, result }: Operation, possible: readonly (string | undefined)[]): ViolationKind {
  const foundNone = result === null || (verb === "add" ? result === true : result === false);
  if (foundNone) return "lostWrite";
  if (verb === "incr" || verb === "decr") return "lostIncrement";
  return possible.every((value) => value === undefined) ? "resurrection" : "staleRead";
}
