/** The ways in which one key's history may have gone, as `key-checker.ts` follows them. */
import type { LossCause } from "./history.ts";
import type { State } from "./register.ts";

export interface Way {
  readonly state: State;
  /** Ids of open operations that have taken effect, ascending. */
  readonly applied: readonly number[];
  readonly losses: readonly LossCause[];
}

/**
 * Ways, without those that another one covers: with the same value and the same sure effects, whoever has had fewer of the optional effects may
 * have them still, or never. What of a covered way was wider (its deadlines) is taken over, which only forgives.
 */
export class Ways {
  readonly #bySureEffects = new Map<string, Way[]>();
  readonly #isOptional: (id: number) => boolean;

  constructor(isOptional: (id: number) => boolean) {
    this.#isOptional = isOptional;
  }

  /** False when it was covered, and has changed nothing. */
  add(way: Way): boolean {
    const id = this.#idOf(way);
    const others = this.#bySureEffects.get(id);
    if (others === undefined) {
      this.#bySureEffects.set(id, [way]);
      return true;
    }
    for (const [i, other] of others.entries()) {
      if (!isSubset(other.applied, way.applied) || other.losses.length > way.losses.length) continue;
      const state = widened(other.state, way.state);
      if (state === other.state) return false;
      others[i] = { ...other, state };
      return true;
    }
    const left = others.filter((other) => {
      return !(isSubset(way.applied, other.applied) && way.losses.length <= other.losses.length);
    });
    const state = others.reduce((wide, other) => (left.includes(other) ? wide : widened(wide, other.state)), way.state);
    this.#bySureEffects.set(id, [...left, { ...way, state }]);
    return true;
  }

  get list(): Way[] {
    return [...this.#bySureEffects.values()].flat();
  }

  #idOf({ state, applied }: Way): string {
    const sure = applied.filter((id) => !this.#isOptional(id));
    return `${sure.join()} ${state.value === undefined ? "-" : `+${state.value}`}`;
  }
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
