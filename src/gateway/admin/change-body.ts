/** Changes as the admin port's JSON has them, checked before anything else looks at them. */
import { formatAddress, parseAddress } from "../../memcached/address.ts";
import type { Change, NewNode } from "../../migration/change.ts";
import { HttpProblem } from "../http/problem.ts";
import { propertiesOf } from "../http/request.ts";

const MAX_NODES = 64;

/** `{"kind": "add-node", "nodes": [...]}` and the others of `Change`. @throws HttpProblem, RingshiftError NODE_ADDRESS */
export function changeOf(body: unknown): Change {
  const given = propertiesOf(body, ["kind", "nodes", "names", "name", "weight", "vnodes", "dead"]);
  switch (given.kind) {
    case "add-node":
      return { kind: "add-node", nodes: list(given.nodes, "nodes").map(newNode) };
    case "remove-node":
      return removal(
        list(given.names, "names").map((name) => text(name, "names")),
        flag(given.dead, "dead"),
      );
    case "set-weight":
      return { kind: "set-weight", name: text(given.name, "name"), weight: number(given.weight, "weight") };
    case "set-vnodes":
      return { kind: "set-vnodes", name: text(given.name, "name"), vnodes: number(given.vnodes, "vnodes") };
    default:
      throw bad("kind is one of add-node, remove-node, set-weight, set-vnodes");
  }
}

/** A server: `"10.0.0.4:11211"`, or an object with address, name, weight, vnodes. @throws HttpProblem, RingshiftError NODE_ADDRESS */
export function newNode(body: unknown): NewNode {
  if (typeof body === "string") return { address: formatAddress(parseAddress(body)) };
  const { address, name, weight, vnodes } = propertiesOf(body, ["address", "name", "weight", "vnodes"]);
  return {
    address: formatAddress(parseAddress(text(address, "address"))),
    ...(name === undefined ? {} : { name: text(name, "name") }),
    ...(weight === undefined ? {} : { weight: number(weight, "weight") }),
    ...(vnodes === undefined ? {} : { vnodes: number(vnodes, "vnodes") }),
  };
}

/** `{"weight": 2}` or `{"vnodes": 80}` for a node. @throws HttpProblem */
export function resizeOf(name: string, body: unknown): Change {
  const { weight, vnodes } = propertiesOf(body, ["weight", "vnodes"]);
  if ((weight === undefined) === (vnodes === undefined)) throw bad("give weight or vnodes, one of the two");
  if (vnodes !== undefined) return { kind: "set-vnodes", name, vnodes: number(vnodes, "vnodes") };
  return { kind: "set-weight", name, weight: number(weight, "weight") };
}

/** @param dead the servers are gone for good, and their keys with them */
export function removal(names: readonly string[], dead: boolean): Change {
  return { kind: "remove-node", names, ...(dead ? { dead } : {}) };
}

/** A property that may be left out. @throws HttpProblem */
export function flag(value: unknown, what: string): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw bad(`${what} is true or false`);
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_NODES) {
    throw bad(`${what} is a list of 1 to ${MAX_NODES}`);
  }
  return value;
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value.length === 0 || value.length > 300) throw bad(`${what} is text`);
  return value;
}

function number(value: unknown, what: string): number {
  if (typeof value !== "number") throw bad(`${what} is a number`);
  return value;
}

function bad(message: string): HttpProblem {
  return new HttpProblem(400, "INVALID_OPTION", `The change is not understood: ${message}.`);
}
