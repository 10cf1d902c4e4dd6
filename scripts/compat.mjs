/**
 * `npm run compat`: libmemcached, the C library, and its command line tools against ringshift on the same servers. It needs what npm does not
 * bring (Debian: libmemcached-tools, python3), and says which part it could not run.
 *
 *   tools     memccp, memccat, memcexist, memcrm, each pointed at the key's server (`locate`): they know no ketama
 *   library   libmemcached itself with KETAMA_WEIGHTED, called from Python: the whole ring, weights included, both ways
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "../dist/index.js";
import { ensureBinaries, startMemcached } from "../dist/testing/index.js";

const KEYS = 500;
const WEIGHTS = [1, 2, 3];
const NOT_FOUND = 127;

/** Enough of libmemcached's C interface: argv[1] get or set, argv[2] servers as host:port:weight, then keys on stdin. */
const LIBRARY = `
import ctypes, sys
try:
    lib = ctypes.CDLL("libmemcached.so.11")
except OSError:
    sys.exit(${NOT_FOUND})
lib.memcached_create.restype = ctypes.c_void_p
lib.memcached_create.argtypes = [ctypes.c_void_p]
lib.memcached_behavior_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
lib.memcached_server_add_with_weight.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32]
lib.memcached_set.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long, ctypes.c_uint32]
lib.memcached_get.restype = ctypes.c_void_p
lib.memcached_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_uint32), ctypes.POINTER(ctypes.c_int)]
KETAMA_WEIGHTED = 16
memc = lib.memcached_create(None)
assert lib.memcached_behavior_set(memc, KETAMA_WEIGHTED, 1) == 0
for server in sys.argv[2].split(","):
    host, port, weight = server.split(":")
    assert lib.memcached_server_add_with_weight(memc, host.encode(), int(port), int(weight)) == 0
good = 0
for key in sys.stdin.read().split():
    key = key.encode()
    if sys.argv[1] == "set":
        value = b"library " + key
        good += lib.memcached_set(memc, key, len(key), value, len(value), 0, 0) == 0
    else:
        size, flags, error = ctypes.c_size_t(), ctypes.c_uint32(), ctypes.c_int()
        found = lib.memcached_get(memc, key, len(key), ctypes.byref(size), ctypes.byref(flags), ctypes.byref(error))
        good += found is not None and ctypes.string_at(found, size.value) == b"ringshift " + key
print(good)
`;

let failed = false;

function report(good, text) {
  failed ||= !good;
  console.log(`${good ? "[OK]" : "[ERR]"} ${text}`);
}

/** Undefined: there is no such program. */
function run(program, args, input = "") {
  const { error, status, stdout } = spawnSync(program, args, { input, encoding: "utf8" });
  if (error?.code === "ENOENT" || status === NOT_FOUND) return undefined;
  return { status, stdout };
}

async function tools(cache, folder) {
  const [key, theirs] = ["tools:1", "tools-2"];
  const at = (name) => `--servers=${cache.locate(name).address}`;
  await cache.set(key, "from ringshift");
  const read = run("memccat", [at(key), key]);
  if (read === undefined)
    return console.log("[--] not run: memccat and the other tools are not installed (Debian: libmemcached-tools)");
  report(read.stdout.trim() === "from ringshift", "memccat reads what ringshift has stored");
  const file = join(folder, theirs); // memccp names the key by the file
  writeFileSync(file, "from memccp");
  run("memccp", [at(theirs), file]);
  report((await cache.get(theirs)) === "from memccp", "ringshift reads what memccp has stored");
  report(run("memcexist", [at(key), key]).status === 0, "memcexist finds it");
  run("memcrm", [at(key), key]);
  report((await cache.get(key)) === undefined, "what memcrm has removed is a miss");
}

async function library(cache, servers) {
  const list = servers.map(({ address }, i) => `${address}:${WEIGHTS[i]}`).join(",");
  const keys = Array.from({ length: KEYS }, (_, i) => `key:${i}`);
  await cache.setMulti(keys.map((key) => [key, `ringshift ${key}`]));
  const read = run("python3", ["-c", LIBRARY, "get", list], keys.join("\n"));
  if (read === undefined)
    return console.log(
      "[--] not run: python3 or libmemcached.so.11 is not installed (Debian: python3, libmemcached-tools)",
    );
  report(Number(read.stdout) === KEYS, `libmemcached reads ${read.stdout.trim()} of ${KEYS} keys, by its own ring`);
  const stored = run("python3", ["-c", LIBRARY, "set", list], keys.join("\n"));
  report(Number(stored.stdout) === KEYS, `libmemcached stores ${stored.stdout.trim()} of ${KEYS} keys`);
  const found = await cache.getMulti(keys);
  const right = keys.filter((key) => found.get(key) === `library ${key}`).length;
  report(right === KEYS, `ringshift reads ${right} of ${KEYS} of them`);
}

await ensureBinaries();
const folder = mkdtempSync(join(tmpdir(), "ringshift-compat-"));
const servers = await Promise.all(WEIGHTS.map(() => startMemcached()));
const nodes = servers.map(({ address }, i) => ({ address, weight: WEIGHTS[i] }));
const cache = await createClient({ servers: nodes, compat: "libmemcached" });
try {
  await tools(cache, folder);
  await library(cache, servers);
} finally {
  await cache.quit();
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(folder, { recursive: true });
}
process.exitCode = failed ? 1 : 0;
