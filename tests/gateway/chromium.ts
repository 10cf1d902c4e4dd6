/** A real Chromium for the dashboard's test: found, else installed where that is allowed, else a failure that says what to install. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** @throws Error that says what to install */
export function launchChromium(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM || find() || install();
  const args = ["--disable-dev-shm-usage", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
  return chromium.launch({ executablePath, args });
}

function find(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(isExecutable);
}

function install(): string {
  if (process.getuid?.() === 0) {
    const script =
      "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends chromium";
    spawnSync("/bin/sh", ["-c", script], { stdio: ["ignore", 2, 2] });
  }
  const found = find();
  if (found !== undefined) return found;
  throw new Error(
    "The dashboard's test needs Chromium: apt-get install chromium, or name one with CHROMIUM=/path/to/it.",
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
