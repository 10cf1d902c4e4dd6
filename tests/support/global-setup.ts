/**
 * Once per test run: the server programs are there, and `dist` is what `src` says, since tests start the compiled command line
 * in child processes. `npm test` has built already (pretest); this is for `npx vitest run one/file`.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBinaries } from "../../src/testing/binaries.ts";

/** tsc's exit code for type errors with the output written all the same (ExitStatus.DiagnosticsPresent_OutputsGenerated). */
const WRITTEN_WITH_ERRORS = 2;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export async function setup(): Promise<void> {
  await ensureBinaries();
  if (isStale()) build();
}

/** True when a source file has no output, or an older one than itself. */
function isStale(): boolean {
  const config = Math.max(modified("tsconfig.json"), modified("tsconfig.build.json"));
  return readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
    .some((file) => {
      const built = modified(join("dist", file.replace(/\.ts$/, ".js")));
      return built < config || built < modified(join("src", file));
    });
}

/** Milliseconds since the epoch; 0 for a file that is not there. */
function modified(path: string): number {
  return statSync(join(ROOT, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Types are the business of `npm run typecheck` and of pretest: tsc writes its output in spite of type errors, and they are shown. */
function build(): void {
  const tsc = spawnSync("npx", ["tsc", "-p", "tsconfig.build.json"], { cwd: ROOT, stdio: ["ignore", 2, 2] });
  if (tsc.error !== undefined) throw tsc.error;
  if (tsc.status !== 0 && tsc.status !== WRITTEN_WITH_ERRORS)
    throw new Error(`tsc wrote nothing (exit code ${tsc.status})`);
}
