/**
 * The options of single calls, checked at each: a misspelt `ttl` would otherwise store for ever, and memcached's own habit of giving the
 * time to live as a bare number would be lost without a word.
 */
import { invalidOption, RingshiftError, shown } from "../errors.ts";
import { nearest } from "../suggest.ts";
import type { ClientEvents } from "./events.ts";
import type { FlushOptions } from "./servers.ts";
import type { CallOptions, CountOptions, GetOrSetOptions, MultiOptions, WriteOptions } from "./types.ts";

/** No options given; shared, so that the usual call makes no object. */
export const NONE: Readonly<Record<never, never>> = Object.freeze({});

/** The options that a command has. */
export type Names = ReadonlySet<string>;

function known<T>(...names: (keyof T & string)[]): Names {
  return new Set(names);
}

export const CALL = known<CallOptions>("signal");
export const WRITE = known<WriteOptions>("signal", "ttl", "compress");
export const COUNT = known<CountOptions>("signal", "initial", "ttl", "bigint");
export const MULTI = known<MultiOptions>("signal", "failed");
export const GET_OR_SET = known<GetOrSetOptions>("signal", "staleTtl", "earlyRefresh", "compress");
export const FLUSH = known<FlushOptions>("everything");

/**
 * @param key of the call, where it has one
 * @throws RingshiftError INVALID_OPTION that names the option, and the one that was meant; INVALID_TTL for null, which is not "absent"
 */
export function checkCall(command: string, options: object | undefined, names: Names, key?: string): void {
  if (options === NONE || options === undefined) return;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw notAnObject(command, options, names);
  }
  for (const name in options) {
    if (!names.has(name)) throw unknownOption(command, name, names);
    checkValue(command, key, name, (options as Readonly<Record<string, unknown>>)[name]);
  }
}

/** Of the options that are looked at late, or taken for something else than they are. */
function checkValue(command: string, key: string | undefined, name: string, value: unknown): void {
  if (value === undefined) return;
  if (name === "ttl" && value === null) {
    throw new RingshiftError("INVALID_TTL", `${command}: the TTL is a number of seconds, 0 or more, not null.`, {
      key,
    });
  }
  if (name === "signal" && !isSignal(value))
    throw invalidOption(`${command}: signal is an AbortSignal, not ${shown(value)}.`);
  if (name === "failed" && !(value instanceof Map))
    throw invalidOption(`${command}: failed is a Map, not ${shown(value)}.`);
  if ((name === "everything" || name === "bigint") && typeof value !== "boolean") {
    throw invalidOption(`${command}: ${name} is true or false, not ${shown(value)}.`);
  }
}

function isSignal(value: unknown): boolean {
  const { aborted, addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>;
  return (
    typeof aborted === "boolean" && typeof addEventListener === "function" && typeof removeEventListener === "function"
  );
}

/** The keys of a multi form, each once. @throws RingshiftError INVALID_OPTION */
export function keysOf(command: string, keys: Iterable<string>): readonly string[] {
  if (typeof keys !== "object" || keys === null || !(Symbol.iterator in keys)) {
    throw invalidOption(`${command} takes a list of keys, ${command}(["key"]), not ${shown(keys)}.`);
  }
  return [...new Set(keys)];
}

const EVENTS = [
  "hit",
  "miss",
  "nodeDown",
  "nodeUp",
  "topology",
  "migration",
  "discovery",
] as const satisfies (keyof ClientEvents)[];

/** @throws RingshiftError INVALID_OPTION for an event that there is not, with the one that was meant */
export function checkEvent<E extends keyof ClientEvents>(event: E): E {
  if ((EVENTS as readonly unknown[]).includes(event)) return event;
  const name: unknown = event;
  const near = typeof name === "string" ? nearest(name, EVENTS) : undefined;
  const hint = near === undefined ? `there are ${EVENTS.join(", ")}.` : `did you mean ${near}?`;
  throw invalidOption(`There is no event ${typeof name === "string" ? name : shown(name)}: ${hint}`);
}

function notAnObject(command: string, given: unknown, names: Names): RingshiftError {
  const example = names.has("ttl")
    ? `{ ttl: ${typeof given === "number" ? given : 300} }`
    : `{ ${[...names][0]}: ... }`;
  return new RingshiftError(
    "INVALID_OPTION",
    `${command} takes its options as an object, ${example}, not ${shown(given)}.`,
  );
}

function unknownOption(command: string, name: string, names: Names): RingshiftError {
  const near = MEANT[name.toLowerCase()] ?? nearest(name, [...names]);
  const hint = near !== undefined && names.has(near) ? `did you mean ${near}?` : `it has ${[...names].join(", ")}.`;
  return new RingshiftError("INVALID_OPTION", `${command} knows no option ${name}: ${hint}`);
}

/** What other clients call the same thing. */
const MEANT: Readonly<Record<string, string>> = {
  expires: "ttl",
  expire: "ttl",
  exptime: "ttl",
  expiration: "ttl",
  lifetime: "ttl",
  maxage: "ttl",
  default: "initial",
  stale: "staleTtl",
  compression: "compress",
};
