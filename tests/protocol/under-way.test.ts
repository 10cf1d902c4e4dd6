/** What a session acknowledges while its operations outlive its views. */
import { expect, test } from "vitest";
import { UnderWay } from "../../src/protocol/under-way.ts";
import type { View } from "../../src/protocol/view.ts";

const viewOf = (epoch: number, inFlight = 1) => ({ inFlight, document: { epoch } }) as unknown as View;

function underWay() {
  const time = { ms: 0 };
  const told: string[] = [];
  const clock = { now: () => time.ms } as never;
  return { time, told, of: new UnderWay(clock, () => told.push("drained")) };
}

test("acknowledges no epoch after one that something is under way in, or may still act in", () => {
  const { of, time, told } = underWay();
  const old = viewOf(4);
  of.left(viewOf(3, 0), 3); // nothing is under way
  expect(of.acknowledged(7)).toBe(7);
  of.left(old, 4);
  of.linger(old, 1_000);
  expect(of.acknowledged(7)).toBe(4);
  of.ended(old);
  expect(told).toEqual(["drained"]);
  expect(of.acknowledged(7)).toBe(4);
  time.ms = 1_001;
  expect(of.acknowledged(7)).toBe(7);
});

test("what is of void epochs holds up the epoch that is gone back to", () => {
  const { of, time } = underWay();
  const [left, present] = [viewOf(8), viewOf(9)];
  of.left(left, 8);
  of.linger(left, 1_000);
  of.hold(4);
  of.left(present, 4);
  expect(of.acknowledged(5)).toBe(4);
  of.ended(left);
  of.linger(present, 3_000);
  of.ended(present);
  time.ms = 2_000;
  expect(of.acknowledged(5)).toBe(4);
  time.ms = 3_001;
  expect(of.acknowledged(5)).toBe(5);
});
