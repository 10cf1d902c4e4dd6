import { expect, test } from "vitest";
import { EXIT_CODES } from "../../src/cli/exit-codes.ts";
import { ERROR_CODES } from "../../src/errors.ts";

test("every error code has an exit code, and none says that all went well", () => {
  expect(Object.keys(EXIT_CODES).sort()).toEqual(Object.keys(ERROR_CODES).sort());
  for (const code of Object.values(EXIT_CODES)) expect([1, 2, 3, 4, 5, 6, 130]).toContain(code);
});

test.each([
  [3, ["MIGRATION_STOPPED"]],
  [4, ["NODE_DOWN", "REDIS_UNREACHABLE", "TIMEOUT"]],
  [5, ["UNCONFIRMED"]],
  [6, ["MIGRATION_RUNNING"]],
] as const)("exit code %i stands for these alone", (exitCode, codes) => {
  const found = Object.entries(EXIT_CODES).filter(([, code]) => code === exitCode);
  expect(found.map(([name]) => name).sort()).toEqual([...codes].sort());
});
