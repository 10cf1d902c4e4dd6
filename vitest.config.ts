import { defineConfig } from "vitest/config";

/** What needs a browser is not part of `npm test`, which runs where there is none: `npm run test:browser`. */
export const BROWSER_TESTS = ["tests/gateway/dashboard.test.ts"];

export const shared = {
  globalSetup: ["tests/support/global-setup.ts"],
  setupFiles: ["tests/support/own-settings.ts"],
  // Real servers and child processes on few cores: files one after another, no hidden retry.
  fileParallelism: false,
  retry: 0,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // what is polled for has happened or will; a second, the default, is short on a busy machine
  expect: { poll: { timeout: 20_000 } },
};

export default defineConfig({
  test: { ...shared, include: ["tests/**/*.test.ts"], exclude: ["node_modules/**", "dist/**", ...BROWSER_TESTS] },
});
