/** When a lease may still be filled: not after its key has left its server, even if it has come back. */
import { expect, test } from "vitest";
import { isHere, type Lease } from "../../src/protocol/lease.ts";
import type { Route } from "../../src/protocol/view.ts";

/** The key's server in that phase and epoch, after so many migrations. */
function route(node: string, phase: "S" | "F" | "D", epoch: number, migrations: number): Route {
  return { node: { name: node }, view: { document: { phase, epoch, migrations } } } as unknown as Route;
}

/** Put at server b. */
function lease(epoch: number, migrations: number): Lease {
  const text = Buffer.from(`lease ${epoch} 0123456789abcdef`);
  return { text, cas: "3", node: "b", connection: {} as never, epoch, migrations };
}

test("one migration may pass that leaves the key where it is", () => {
  const put = lease(20, 4);
  expect(isHere(route("b", "S", 20, 4), put)).toBe(true);
  expect(isHere(route("b", "F", 21, 4), put)).toBe(true);
  expect(isHere(route("b", "D", 22, 4), put)).toBe(true);
  expect(isHere(route("b", "S", 23, 5), put)).toBe(true);
});

test("any number of epochs may pass in which no key has another owner", () => {
  expect(isHere(route("b", "S", 40, 4), lease(20, 4))).toBe(true);
});

test("the phase D of a second migration may have brought the key back from another server", () => {
  expect(isHere(route("b", "D", 26, 5), lease(20, 4))).toBe(false);
  expect(isHere(route("b", "S", 27, 6), lease(20, 4))).toBe(false);
});

test("a lease that was put in D counts from that migration on", () => {
  expect(isHere(route("b", "D", 22, 4), lease(22, 5))).toBe(true);
  expect(isHere(route("b", "S", 23, 5), lease(22, 5))).toBe(true);
  expect(isHere(route("b", "D", 26, 5), lease(22, 5))).toBe(false);
});

test("where the server died that the key was moving to, it may have come back within one migration", () => {
  // F 21, D 22 to another server, which dies: D 23 names it dead, D 24 is without it
  expect(isHere(route("b", "D", 24, 4), lease(20, 4))).toBe(false);
  expect(isHere(route("b", "S", 25, 5), lease(20, 4))).toBe(false);
});

test("a key that has another server now", () => {
  expect(isHere(route("a", "S", 20, 4), lease(20, 4))).toBe(false);
});
