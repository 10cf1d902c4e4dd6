/** What the clients asked and were answered, in the order of the run: what the checker judges. */

export type Kind =
  | "get"
  | "set"
  | "add"
  | "replace"
  | "append"
  | "prepend"
  | "delete"
  | "incr"
  | "decr"
  | "cas"
  | "touch"
  | "fill"
  | "loss";

export interface Operation {
  /** Process that asked; `~` for a loss. */
  readonly who: string;
  readonly kind: Kind;
  readonly key: string;
  /** The value stored, appended, loaded or lost; the delta of incr and decr. */
  readonly value: string;
  /** `cas`: the value that the token came from. */
  readonly expected: string | undefined;
  /** Place in the history at which it was asked, and at which it was answered. Undefined: never, or its effect is unknown. */
  readonly asked: number;
  answered: number | undefined;
  /** `get`: the value or undefined; `incr`, `decr`: the number or undefined; the others: whether it applied. */
  answer: string | number | boolean | undefined;
}

export class History {
  readonly operations: Operation[] = [];
  ambiguous = 0;
  answered = 0;
  #time = 0;

  begin(who: string, kind: Kind, key: string, value = "", expected?: string): Operation {
    const operation: Operation = {
      who,
      kind,
      key,
      value,
      expected,
      asked: this.#time++,
      answered: undefined,
      answer: undefined,
    };
    this.operations.push(operation);
    return operation;
  }

  end(operation: Operation, answer: Operation["answer"]): void {
    this.answered++;
    operation.answered = this.#time++;
    operation.answer = answer;
  }

  /** Now, on the history's own clock. */
  tick(): number {
    return this.#time++;
  }

  /** It was rejected, with the assurance that it had no effect. */
  withdraw(operation: Operation): void {
    this.operations.splice(this.operations.indexOf(operation), 1);
  }
}

export function describe({ who, kind, key, value, expected, asked, answered, answer }: Operation): string {
  const over = expected === undefined ? "" : ` over ${JSON.stringify(expected)}`;
  const text = `${kind} ${key} ${value === "" ? "" : JSON.stringify(value)}${over}`;
  const end = kind === "loss" ? "" : answered === undefined ? "no answer" : `${JSON.stringify(answer) ?? "miss"}`;
  const span = `[${String(asked).padStart(4)} ${answered === undefined ? "   -" : String(answered).padStart(4)}]`;
  return `${span} ${who.padEnd(4)} ${text.padEnd(44)} ${end}`;
}
