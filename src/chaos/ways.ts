/** The ways in which one key's history may have gone, as `key-checker.ts` follows them. */
import type { LossCause } from "./history.ts";
import type { State } from "./register.ts";

export interface Way {
  readonly state: State;
  /** Ids of open operations that have taken effect, ascending. */
  readonly applied: readonly number[];
  readonly losses: readonly LossCause[];
}

/** Of so many optional effects all subsets are looked up; of more, all ways are looked at. */
const MAX_ENUMERATED = 8;

/** Ways with the same value and the same sure effects, by their optional ones. */
interface Bucket {
  readonly ways: Map<string, { readonly way: Way; readonly optional: readonly number[] }>;
  /** Most optional effects of any. */
  longest: number;
}

/**
 * Ways, without those that another one covers: with the same value and the same sure effects, whoever has had fewer of the optional effects may
 * have them still, or never. What of a covered way was wider (its deadlines) is taken over, which only forgives.
 *
 * A search adds ways with few optional effects first. So what covers a way is looked up among the subsets of its effects, and what it covers is
 * looked for only where some way has more effects.
 */
export class Ways {
  readonly #bySureEffects = new Map<string, Bucket>();
  readonly #isOptional: (id: number) => boolean;

  constructor(isOptional: (id: number) => boolean) {
    this.#isOptional = isOptional;
  }

  /** False when it was covered, and has changed nothing. */
  add(way: Way): boolean {
    const optional: number[] = [];
    const sure: number[] = [];
    for (const id of way.applied) (this.#isOptional(id) ? optional : sure).push(id);
    const { value } = way.state;
    const id = `${sure.join()} ${value === undefined ? "-" : `+${value}`}`;
    let bucket = this.#bySureEffects.get(id);
    if (bucket === undefined) {
      bucket = { ways: new Map(), longest: 0 };
      this.#bySureEffects.set(id, bucket);
    }
    const covering = coveringIn(bucket, way, optional);
    if (covering !== undefined) {
      const other = bucket.ways.get(covering)!;
      const state = widened(other.way.state, way.state);
      if (state === other.way.state) return false;
      bucket.ways.set(covering, { ...other, way: { ...other.way, state } });
      return true;
    }
    const state = takeCovered(bucket, way, optional);
    bucket.ways.set(optional.join(), { way: { ...way, state }, optional });
    bucket.longest = Math.max(bucket.longest, optional.length);
    return true;
  }

  get list(): Way[] {
    const all: Way[] = [];
    for (const { ways } of this.#bySureEffects.values()) for (const { way } of ways.values()) all.push(way);
    return all;
  }
}

/** Which way of the bucket has no more effects than this one, and needs no more losses. */
function coveringIn({ ways }: Bucket, { losses }: Way, optional: readonly number[]): string | undefined {
  const covers = (key: string) => {
    const other = ways.get(key);
    return other !== undefined && other.way.losses.length <= losses.length;
  };
  if (optional.length <= MAX_ENUMERATED && 2 ** optional.length < ways.size) {
    for (const key of subsetsOf(optional)) if (covers(key)) return key;
    return undefined;
  }
  for (const [key, other] of ways) if (isSubset(other.optional, optional) && covers(key)) return key;
  return undefined;
}

/** Removes the ways that this one covers; answers its state, widened by theirs. */
function takeCovered({ ways, longest }: Bucket, { state, losses }: Way, optional: readonly number[]): State {
  let wide = state;
  const take = (key: string) => {
    const other = ways.get(key);
    if (other === undefined || other.way.losses.length < losses.length) return;
    wide = widened(wide, other.way.state);
    ways.delete(key);
  };
  take(optional.join());
  if (longest > optional.length) {
    for (const [key, other] of [...ways]) if (isSubset(optional, other.optional)) take(key);
  }
  return wide;
}

/** Of ids in ascending order, each as a bucket names it. */
function* subsetsOf(ids: readonly number[]): Iterable<string> {
  for (let mask = 2 ** ids.length - 1; mask >= 0; mask--) yield ids.filter((_, bit) => (mask >> bit) & 1).join();
}

function isSubset(few: readonly number[], many: readonly number[]): boolean {
  return few.length <= many.length && few.every((id) => many.includes(id));
}

/** The first state, with the earliest and the latest deadline of both. */
function widened(state: State, other: State): State {
  if (other.since >= state.since && other.early >= state.early && other.late <= state.late) return state;
  return {
    value: state.value,
    since: Math.min(state.since, other.since),
    early: Math.min(state.early, other.early),
    late: Math.max(state.late, other.late),
  };
}

/** Ids in ascending order, with one more. */
export function withId(ids: readonly number[], id: number): readonly number[] {
  return [...ids, id].sort((a, b) => a - b);
}
