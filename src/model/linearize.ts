/**
 * Is there an order of one key's operations, each at one moment between its call and its answer, in which a single Memcached would have
 * answered all of them as they were answered? (Wing and Gong's search, with a memory of the states seen.)
 *
 * An operation without an answer took effect once or never, at any time after its call. A *loss* is an optional operation that makes the value it
 * names absent: servers evict, expire and restart. Values are unique, so it can take nothing else. A *fill* is what `getOrSet` stores of what it
 * loaded: optional, only where nothing is, and never after a write that was called after the load began.
 *
 * Stricter than linearizability: one process' answered calls on the key take effect in the order of its calls, but for reads among themselves.
 */
import type { Operation } from "./history.ts";
import { addDelta } from "./texts.ts";

/** States looked at before a history counts as undecided. */
const MAX_STATES = 300_000;

export type Verdict = "linearizable" | "violation" | "undecided";

/** Judges the operations of one key, in the order of their calls. */
export function judge(all: readonly Operation[]): Verdict {
  const operations = all.filter(matters);
  const bits = operations.map((_, i) => 1n << BigInt(i));
  const masks = operations.map((operation, i) => masksOf(operations, bits, operation, i));
  const full = bits.reduce((sum, bit, i) => (operations[i]!.answered === undefined ? sum : sum | bit), 0n);
  const seen = new Set<string>();
  const stack: { readonly done: bigint; readonly value: string | undefined }[] = [{ done: 0n, value: undefined }];
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    const { done, value } = state;
    if ((done & full) === full) return "linearizable";
    const id = `${done.toString(36)} ${value ?? "-"}`;
    if (seen.has(id)) continue;
    seen.add(id);
    if (seen.size > MAX_STATES) return "undecided";
    let firstAnswer = Number.POSITIVE_INFINITY;
    for (const [i, { answered }] of operations.entries()) {
      if (answered !== undefined && answered < firstAnswer && (done & bits[i]!) === 0n) firstAnswer = answered;
    }
    // pushed last is tried first: required ones by their answers
    const candidates = [];
    for (const [i, operation] of operations.entries()) {
      if (operation.asked > firstAnswer) break;
      const { before, notAfter } = masks[i]!;
      if ((done & bits[i]!) !== 0n || (done & before) !== before || (done & notAfter) !== 0n) continue;
      const next = apply(operation, value);
      if (next !== IMPOSSIBLE) candidates.push({ i, next, order: operation.answered ?? Number.POSITIVE_INFINITY });
    }
    candidates.sort((a, b) => b.order - a.order);
    for (const { i, next } of candidates) stack.push({ done: done | bits[i]!, value: next });
  }
  return "violation";
}

const IMPOSSIBLE = Symbol("impossible");

/** A read without an answer says nothing. */
function matters({ kind, answered }: Operation): boolean {
  return answered !== undefined || (kind !== "get" && kind !== "touch");
}

/** What has to have taken effect before an operation, and what must not have. */
function masksOf(operations: readonly Operation[], bits: readonly bigint[], one: Operation, at: number) {
  let [before, notAfter] = [0n, 0n];
  for (const [i, other] of operations.entries()) {
    if (other.answered === undefined) continue;
    const sameProcess = other.who === one.who && one.answered !== undefined;
    if (sameProcess && i < at && (writes(one) || writes(other))) before |= bits[i]!;
    if (one.kind === "fill" && i > at && writes(other) && applied(other)) notAfter |= bits[i]!;
  }
  return { before, notAfter };
}

function writes({ kind }: Operation): boolean {
  return kind !== "get" && kind !== "touch";
}

/** It changed the key, or (a delete of nothing) was told that nothing is there. */
function applied({ kind, answer }: Operation): boolean {
  return kind === "delete" || (answer !== false && answer !== undefined);
}

/** The value after the operation, or that it cannot have been answered so at this value. */
function apply(operation: Operation, value: string | undefined): string | undefined | typeof IMPOSSIBLE {
  const { kind, answer } = operation;
  const open = operation.answered === undefined;
  const there = value !== undefined;
  switch (kind) {
    case "get":
      return answer === value ? value : IMPOSSIBLE;
    case "touch":
      return answer === there ? value : IMPOSSIBLE;
    case "loss":
      return value === operation.value ? undefined : IMPOSSIBLE;
    case "fill":
      return there ? IMPOSSIBLE : operation.value;
    case "set":
      return operation.value;
    case "delete":
      return open || answer === there ? undefined : IMPOSSIBLE;
    case "cas":
      if (!open && answer === false) return value;
      return value === operation.expected ? operation.value : IMPOSSIBLE;
    case "incr":
    case "decr": {
      const next = value === undefined ? undefined : addDelta(value, BigInt(operation.value), kind === "decr");
      if (!open && answer !== (next === undefined ? undefined : Number(next))) return IMPOSSIBLE;
      return next;
    }
    default: {
      const applies = kind === "add" ? !there : there;
      if (!open && answer !== applies) return IMPOSSIBLE;
      if (!applies) return open ? IMPOSSIBLE : value;
      if (kind === "append") return value + operation.value;
      if (kind === "prepend") return operation.value + value;
      return operation.value;
    }
  }
}
