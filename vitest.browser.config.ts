import { defineConfig } from "vitest/config";
import { BROWSER_TESTS, shared } from "./vitest.config.ts";

/** Installing Chromium, where that is allowed, takes its time. */
export default defineConfig({ test: { ...shared, include: BROWSER_TESTS, hookTimeout: 300_000 } });
