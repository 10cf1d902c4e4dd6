/**
 * One key of one Memcached: what each command does to its value, and whether an answer agrees with it. Pure.
 *
 * A value with a TTL has a span in which it may be found expired: Memcached counts whole seconds, a move adds up to one, and a server that was
 * stopped has a clock that was, too. How much that may be is `Tolerance`; a value that lives on beyond it has a TTL that grew.
 */
import { isAmbiguous, type Operation, type Result } from "./history.ts";

export interface State {
  /** Undefined: nothing is there. */
  readonly value: string | undefined;
  /** When the TTL was given: start of the giving call. */
  readonly since: number;
  /** May be found expired from here on, and must be from there on; both before tolerance. Infinity: never expires. */
  readonly early: number;
  readonly late: number;
}

export const ABSENT: State = {
  value: undefined,
  since: 0,
  early: Number.POSITIVE_INFINITY,
  late: Number.POSITIVE_INFINITY,
};

/** By how many ms a TTL given at `from` may have become shorter or longer up to `to`. */
export interface Tolerance {
  shorter(from: number, to: number): number;
  longer(from: number, to: number): number;
}

const SECOND = 1000;

/** True when the value may be found expired at `at`. */
export function mayHaveExpired(state: State, at: number, tolerance: Tolerance): boolean {
  if (state.value === undefined || state.early === Number.POSITIVE_INFINITY) return false;
  return at >= state.early - tolerance.shorter(state.since, at);
}

function isPresent(state: State, operation: Operation, at: number, tolerance: Tolerance): boolean {
  if (state.value === undefined) return false;
  if (operation.at <= state.late) return true;
  return operation.at <= state.late + tolerance.longer(state.since, at);
}

/**
 * The state after the operation, which takes effect at or before `at`; undefined: then it would not have been answered so.
 * @param operation an ambiguous one may have any effect that it can have
 */
export function apply(operation: Operation, state: State, at: number, tolerance: Tolerance): State | undefined {
  const { verb, text, result } = operation;
  const present = isPresent(state, operation, at, tolerance);
  const sure = !isAmbiguous(operation);
  switch (verb) {
    case "get":
    case "gets":
      return answers(present ? state.value! : null, result, state);
    case "getMeta":
      return metaAgrees(operation, state, present, tolerance) ? state : undefined;
    case "set":
      return given(operation, text, at);
    case "add":
      if (sure && result !== !present) return undefined;
      if (!present) return given(operation, text, at);
      return sure ? state : undefined;
    case "replace":
      return whenPresent(present, result, sure, state, () => given(operation, text, at));
    case "append":
      return whenPresent(present, result, sure, state, () => ({ ...state, value: state.value! + text }));
    case "prepend":
      return whenPresent(present, result, sure, state, () => ({ ...state, value: text + state.value! }));
    case "cas":
      // false may have many reasons: a move, a restart
      if (sure && result === false) return state;
      return present && state.value === operation.expected ? given(operation, text, at) : undefined;
    case "delete":
      return whenPresent(present, result, sure, state, () => ABSENT);
    case "incr":
    case "decr":
      return count(operation, state, present, sure, at);
    case "touch":
      return whenPresent(present, result, sure, state, () => given(operation, state.value!, at));
    case "gat":
      if (sure && result !== (present ? state.value! : null)) return undefined;
      if (!present) return sure ? state : undefined;
      return given(operation, state.value!, at);
  }
}

function answers(expected: Result, result: Result, state: State): State | undefined {
  return expected === result ? state : undefined;
}

/** A command that needs a value and answers whether there was one. */
function whenPresent(present: boolean, result: Result, sure: boolean, state: State, effect: () => State) {
  if (sure && result !== present) return undefined;
  if (present) return effect();
  return sure ? state : undefined;
}

function count(operation: Operation, state: State, present: boolean, sure: boolean, at: number): State | undefined {
  const { verb, text, delta, result } = operation;
  if (!present) {
    const initial = text === "" ? null : Number(text);
    if (sure && result !== initial) return undefined;
    if (initial === null) return sure ? state : undefined;
    return given(operation, text, at);
  }
  const sum = Number(state.value) + (verb === "incr" ? delta : -delta);
  const value = Math.max(0, sum);
  if (sure && result !== value) return undefined;
  return { ...state, value: String(value) };
}

/** The value stored, or touched, with the operation's TTL. An ambiguous one may be that late. */
function given(operation: Operation, value: string, at: number): State {
  const { ttl } = operation;
  if (ttl === 0) return { ...ABSENT, value };
  const latest = isAmbiguous(operation) ? at : Math.min(at, operation.end);
  return {
    value,
    since: operation.at,
    early: operation.at + ttl * SECOND,
    late: latest + ttl * SECOND,
  };
}

function metaAgrees(operation: Operation, state: State, present: boolean, tolerance: Tolerance): boolean {
  const left = operation.result as number | null;
  if (!present) return left === null;
  if (left === null) return false;
  if (left === -1) return state.late === Number.POSITIVE_INFINITY;
  if (state.early === Number.POSITIVE_INFINITY) return false;
  return operation.at + left * SECOND <= state.late + tolerance.longer(state.since, operation.end) + SECOND;
}
