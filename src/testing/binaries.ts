/**
 * The real server programs, memcached and redis-server: where they are, and how they get onto a bare machine.
 *
 * Finding never changes the machine. `ensureBinaries()` may: as root on Debian or Ubuntu it installs what is missing, which is what
 * lets `npm ci && npm test` pass in a fresh container. Everywhere else a missing program is an error that says what to install,
 * never a test that quietly does not run.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The server programs by the name of their file, which is their Debian package's name too. */
export const SERVER_BINARIES = ["memcached", "redis-server"] as const;
export type ServerBinary = (typeof SERVER_BINARIES)[number];

/** Searched after PATH: a user's PATH often lacks the sbin folders. */
const USUAL_FOLDERS = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];

/** The absolute path of a server program, or undefined where it is not installed. */
export function findBinary(name: ServerBinary): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...folders, ...USUAL_FOLDERS].map((folder) => join(folder, name)).find(isExecutable);
}

/**
 * The absolute path of a server program.
 * @throws Error that names the commands which install it
 */
export function requireBinary(name: ServerBinary): string {
  const path = findBinary(name);
  if (path === undefined) throw new Error(howToInstall([name]));
  return path;
}

let installing: Promise<void> | undefined;

/**
 * Makes sure that every server program is there, and resolves with their paths. Installs the missing ones with apt-get where it
 * may (root, Debian or Ubuntu; about 20 s; output to stderr). Processes that call it at the same time install one after another.
 * @throws Error that names the commands which install the programs
 */
export async function ensureBinaries(): Promise<Readonly<Record<ServerBinary, string>>> {
  const missing = SERVER_BINARIES.filter((name) => findBinary(name) === undefined);
  if (missing.length > 0) {
    if (!canInstall()) throw new Error(howToInstall(missing));
    installing ??= aptInstall(missing).finally(() => {
      installing = undefined;
    });
    await installing;
  }
  return { memcached: requireBinary("memcached"), "redis-server": requireBinary("redis-server") };
}

/** libsasl2's plug-in for PLAIN, without which a memcached -S lets nobody in; a package of its own on Debian. */
const SASL_PACKAGE = "libsasl2-modules";
const SASL_PLAIN = /^libplain\.(so|dylib|plugin)/;

/** @throws Error that names the commands which install libsasl2's PLAIN, where it is missing */
export function requireSaslPlain(): void {
  if (!hasSaslPlain()) throw new Error(howToInstallSasl());
}

/** As `ensureBinaries`, for libsasl2's PLAIN. @throws Error that names the commands which install it */
export async function ensureSaslPlain(): Promise<void> {
  if (hasSaslPlain()) return;
  if (!canInstall()) throw new Error(howToInstallSasl());
  await aptInstall([SASL_PACKAGE]);
  requireSaslPlain();
}

function hasSaslPlain(): boolean {
  const roots = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib"];
  const folders = roots.flatMap((root) => [root, ...filesIn(root).map((name) => join(root, name))]);
  return folders.some((folder) => filesIn(join(folder, "sasl2")).some((name) => SASL_PLAIN.test(name)));
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function howToInstallSasl(): string {
  return [
    "libsasl2 has no PLAIN here, which a memcached with SASL (-S) needs. Install it:",
    `  Debian, Ubuntu:  sudo apt-get install -y --no-install-recommends ${SASL_PACKAGE}`,
    "  Fedora:          sudo dnf install cyrus-sasl-plain",
  ].join("\n");
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && isExecutable("/usr/bin/apt-get");
}

/**
 * Run by sh with the programs as arguments. flock makes concurrent callers wait, and lets go even when its holder is killed; who comes
 * second finds the work done. policy-rc.d is Debian's way to say that packages start no service: without it they would
 * leave a memcached on 11211 and a Redis on 6379 behind. A policy that the machine has already is its administrator's, and stays.
 */
const INSTALL_SCRIPT = `
set -e
exec 9>/run/ringshift-install.lock
flock 9
wanted=
for name in "$@"; do
  command -v "$name" >/dev/null || wanted="$wanted $name"
done
[ -n "$wanted" ] || exit 0
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\\nexit 101\\n' >"$policy"
  chmod 755 "$policy"
fi
echo "ringshift: installing$wanted with apt-get" >&2
apt-get -q -o DPkg::Lock::Timeout=300 update >&2
apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $wanted >&2
`;

/** apt-get needs the sbin folders for dpkg's helpers. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function aptInstall(missing: readonly string[]): Promise<void> {
  const child = spawn("/bin/sh", ["-c", INSTALL_SCRIPT, "sh", ...missing], {
    stdio: ["ignore", 2, 2],
    env: { ...process.env, PATH: SYSTEM_PATH, DEBIAN_FRONTEND: "noninteractive" },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`apt-get ended with ${signal ?? `exit code ${code}`}.\n${howToInstall(missing)}`));
    });
  });
}

function howToInstall(missing: readonly string[]): string {
  const brew = missing.map((name) => (name === "redis-server" ? "redis" : name));
  return [
    `${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} not installed (looked on PATH and in ${USUAL_FOLDERS.join(", ")}).`,
    "Real servers are started for this. Install what is missing:",
    `  Debian, Ubuntu:  sudo apt-get install -y --no-install-recommends ${missing.join(" ")}`,
    `  macOS:           brew install ${brew.join(" ")}`,
    `  Fedora:          sudo dnf install ${brew.join(" ")}`,
    "or use the image that has both: docker-compose up -d && docker-compose exec app npm test",
  ].join("\n");
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
