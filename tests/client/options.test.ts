/** Options of createClient that are of the wrong kind: refused before anything is opened, with what was meant. */
import { expect, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";

const servers = ["127.0.0.1:1"];
const DAY_MS = 86_400_000;

test.each<[string, unknown, string]>([
  ["none at all", undefined, "createClient takes its options as an object"],
  ["null", null, "createClient takes its options as an object"],
  ["an unknown one", { servers, timeoutMS: 5 }, "createClient knows no option timeoutMS; did you mean timeoutMs?"],
  ["a server for a list", { servers: "127.0.0.1:1" }, 'servers is a list, ["127.0.0.1:11211"], not "127.0.0.1:1".'],
  ["a server without address", { servers: [{ name: "a" }] }, "objects with an address"],
  ["a server that is a number", { servers: [11211] }, "servers has addresses"],
  ["a misspelt weight", { servers: [{ address: "127.0.0.1:1", wieght: 2 }] }, "did you mean weight?"],
  ["a Redis that is a number", { redis: 5 }, 'redis is a URL, "redis://127.0.0.1:6379", not 5.'],
  ["text for true", { servers, hashTags: "yes" }, 'hashTags is true or false, not "yes".'],
  ["a number for true", { servers, retryAmbiguous: 1 }, "retryAmbiguous is true or false, not 1."],
  ["a serializer without functions", { servers, serializer: {} }, "the functions serialize and deserialize"],
  ["no time", { servers, timeoutMs: 0 }, "timeoutMs is a number of milliseconds above 0, not 0."],
  ...["timeoutMs", "connectTimeoutMs", "ioTimeoutMs"].map((name): [string, unknown, string] => [
    `a ${name} that a timer cannot wait for`,
    { servers, [name]: 2 ** 31 },
    `${name} is at most 86400000 milliseconds, not 2147483648.`,
  ]),
  ["compress without saying how", { servers, compress: true }, "compress is an object, { algorithm"],
  [
    "compress with a misspelt threshold",
    { servers, compress: { treshold: 10 } },
    "compress knows no option treshold; did you mean threshold?",
  ],
  ["a namespace of null", { servers, namespace: null }, "namespace null: use 1 to 64"],
  ["a compat of null", { servers, compat: null }, "compat is one of ringshift, libketama, libmemcached, not null."],
])("%s", async (_, options, message) => {
  const opening = createClient(options as never);
  await expect(opening).rejects.toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining(message) });
});

test("the longest timeouts there are leave a call its time", async () => {
  const server = await ScriptedServer.listen();
  const times = { timeoutMs: DAY_MS, connectTimeoutMs: DAY_MS, ioTimeoutMs: DAY_MS };
  const cache = await createClient({ servers: [server.address], ...times });
  expect(await cache.gets("k")).toBeUndefined(); // by `operate`, whose end has a timer
  await cache.quit();
  await server.close();
});

/** What has no text of its own. */
const TEXTLESS: readonly [string, unknown][] = [
  ["a symbol", Symbol("s")],
  ["an object without a prototype", Object.create(null)],
];
const NAMES = [
  ...["redis", "servers", "discovery", "namespace", "compat", "serializer", "tls", "auth", "compress"],
  ...[
    "hashTags",
    "hashLongKeys",
    "binaryKeys",
    "retryAmbiguous",
    "unmanaged",
    "onNodeDown",
    "onRejoin",
    "whenIndexDown",
  ],
  ...["timeoutMs", "connectTimeoutMs", "ioTimeoutMs", "queueLimit", "connections", "downAfter", "protocol"],
];

test.each(TEXTLESS)("%s is INVALID_OPTION wherever it is no option", async (_, value) => {
  const objects = typeof value === "object" ? ["tls", "compress"] : []; // without options of its own
  for (const name of NAMES.filter((one) => !objects.includes(one))) {
    const opening = createClient({ servers, [name]: value } as never);
    await expect(opening, name).rejects.toMatchObject({ name: "RingshiftError", code: "INVALID_OPTION" });
  }
  for (const name of ["address", "name", "weight", "vnodes"]) {
    const opening = createClient({ servers: [{ address: "127.0.0.1:1", [name]: value }] } as never);
    await expect(opening, name).rejects.toMatchObject({ name: "RingshiftError", code: "INVALID_OPTION" });
  }
  for (const name of ["from", "intervalMs", "autoApply", "dnsServers"]) {
    const opening = createClient({ discovery: { from: "file:/nonexistent", [name]: value } } as never);
    await expect(opening, name).rejects.toMatchObject({ name: "RingshiftError", code: "INVALID_OPTION" });
  }
});
