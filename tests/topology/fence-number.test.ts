/** Numbers of fences: above all others, and not those of a history that Redis has forgotten. */
import { expect, test } from "vitest";
import { highestFence, newFenceNumber, type TopologyDocument } from "../../src/topology/document.ts";

function document(epoch: number, fences: Record<string, number>): TopologyDocument {
  return { epoch, fences } as unknown as TopologyDocument;
}

test("above every fence and the epoch, by a random step", () => {
  expect(newFenceNumber(document(5, { a: 9, b: 3 }), 0)).toBe(10);
  expect(newFenceNumber(document(12, { a: 9, b: 3 }), 0)).toBe(13);
  expect(newFenceNumber(document(5, { a: 9, b: 3 }), 0.5)).toBe(10 + 2 ** 19);
  expect(newFenceNumber(document(0, {}), 0.999_999_9)).toBeLessThanOrEqual(2 ** 20);
});

test("an F's own number is the highest", () => {
  const number = newFenceNumber(document(5, { a: 9, b: 3 }), 0.25);
  expect(highestFence(document(6, { a: 9, b: number }))).toBe(number);
  expect(highestFence(document(7, { a: 3 }))).toBe(7);
});
