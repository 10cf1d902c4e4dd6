/**
 * After `npm ci` in a checkout: builds, and puts the project's own command where `npx ringshift` looks first. Without the link npx would
 * install the checkout into its cache, and build it a second time there.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, rmSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = `${root}node_modules/.bin`;

execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (existsSync(bin) && process.platform !== "win32") {
  chmodSync(`${root}dist/cli/main.js`, 0o755);
  rmSync(`${bin}/ringshift`, { force: true });
  symlinkSync("../../dist/cli/main.js", `${bin}/ringshift`);
}
