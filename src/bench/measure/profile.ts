/**
 * Where a process' time goes: V8's sampling profiler, its samples added up by what the code they fell into is for. Frames of native code (a
 * write to a socket, an md5) have no file of their own and count by their name.
 */
import { type Profiler, Session } from "node:inspector/promises";
import type { Figures } from "./stats.ts";

const SAMPLE_MICROS = 200;

/** What a frame belongs to: the first of these that matches its file (`native` for none) and, after a blank, its function. */
const KINDS: readonly (readonly [kind: string, frame: RegExp])[] = [
  ["idle", /^native (\(idle\)|dispatch)$/], // dispatch: the profiler's own start and end
  ["garbage collection", /^native \(garbage collector\)$/],
  ["writing to sockets", /^native (write(Latin1String|Utf8String|AsciiString|Buffer)|writev)$/],
  ["native code, reading sockets", /^native \(program\)$/],
  ["promises and ticks", /^native runMicrotasks$|^node:internal\/(process\/task_queues|async_hooks) /],
  ["bytes to text, and copies", /^node:(internal\/)?buffer |^native \w*(Slice|copy|Write|compare|fill)$/],
  ["Node's sockets and streams", /^node:(net|events|timers|internal\/(streams|stream_base|net|timers))/],
  ["clocks", /^native (now|hrtime|getTimeOrigin)$/],
  ["key hash", /\/ring\/(hash|hash-tags|short-md5)\.js |^node:internal\/crypto\/|^native (hash|oneShotDigest)$/],
  ["ring and routing", /\/ring\/[\w-]+\.js |\/protocol\/view\.js /],
  ["flushes, connection, parser", /\/memcached\/[\w-]+\.js /],
  [
    "recording keys (index)",
    /\/keyindex\/|\/topology\/|\/ioredis\/|\/@ioredis\/|\/redis-parser\/|\/standard-as-callback\/|\/denque\//,
  ],
  ["rules: fences, pulls", /\/protocol\/[\w-]+\.js /],
  ["client: calls, keys, values", /\/client\/[\w-]+\.js |^node:diagnostics_channel |^native RegExp: /],
  ["copier", /\/migration\/[\w-]+\.js /],
  ["the benchmark's own lanes", /\/bench\//],
];

/** Share of the busy time by kind, the largest first; together 1. */
export type Shares = ReadonlyMap<string, number>;

/** Profiles until the returned function is called. */
export async function startProfile(): Promise<() => Promise<Shares>> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_MICROS });
  await session.post("Profiler.start");
  return async () => {
    const { profile } = await session.post("Profiler.stop");
    session.disconnect();
    return sharesOf(profile);
  };
}

export function sharesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Shares {
  const kinds = new Map(nodes.map(({ id, callFrame }) => [id, kindOf(callFrame.functionName, callFrame.url)]));
  const micros = new Map<string, number>();
  let busy = 0;
  for (const [i, id] of samples.entries()) {
    const kind = kinds.get(id)!;
    if (kind === "idle") continue;
    const delta = Math.max(0, timeDeltas[i] ?? 0);
    micros.set(kind, (micros.get(kind) ?? 0) + delta);
    busy += delta;
  }
  const sorted = [...micros].sort(([, a], [, b]) => b - a);
  return new Map(sorted.map(([kind, time]) => [kind, busy === 0 ? 0 : time / busy]));
}

export function kindOf(name: string, url: string): string {
  const frame = `${url === "" ? "native" : url} ${name}`;
  return KINDS.find(([, pattern]) => pattern.test(frame))?.[0] ?? "the rest";
}

const SHARE = "share of ";

/** As fields of a measure. */
export function shareFigures(shares: Shares | undefined): Figures {
  return Object.fromEntries(Array.from(shares ?? [], ([kind, share]) => [`${SHARE}${kind}`, share]));
}

/** Back from the fields. */
export function sharesIn(figures: Figures): Shares {
  const own = Object.entries(figures).filter(([field, value]) => field.startsWith(SHARE) && typeof value === "number");
  return new Map(own.map(([field, value]) => [field.slice(SHARE.length), value as number]));
}
