/**
 * The final check, when the traffic has ended: every key and counter is read by a fresh client and compared with what its writer knows,
 * and every item's remaining TTL and client flags are asked of the server that owns it.
 */
import type { Client } from "../client/client.ts";
import { metaGet } from "../memcached/commands.ts";
import type { Reply } from "../memcached/exchange.ts";
import type { LinkPool } from "../memcached/pool.ts";
import { wireKeyOf } from "../ring/index.ts";
import { judgeExactly, type Sighting } from "./ledger.ts";
import { type Books, monotonicMs } from "./messages.ts";
import { counterOf, flagsOf, keyOf, ttlOf, versionOf } from "./values.ts";

const BATCH = 480;
/** Commands of one exchange. */
const MAX_COMMANDS = 60;

export interface AuditFigures {
  failedReads: number;
  staleReads: number;
  /** Largest difference between a TTL on a server and what it should be, in seconds. */
  ttlDriftMaxSeconds: number;
  /** The same over the keys that no change has moved: what memcached's own clock of whole seconds makes. */
  ttlDriftUnmovedMaxSeconds: number;
  /** Counters whose value is not the sum of the increments, or outside its bounds where the effect of some is unknown. */
  wrongCounters: number;
  /** Keys that have a value. */
  present: number;
}

export interface AuditParts {
  readonly client: Client;
  readonly pool: LinkPool;
  readonly keys: number;
  readonly counters: number;
  readonly books: readonly Books[];
  /** False for a key that no change has moved. */
  readonly mayHaveMoved: (key: number) => boolean;
  readonly signal: AbortSignal;
  readonly problem: (text: string) => void;
  /** Takes the names of keys that are missing. */
  readonly lost: Set<string>;
}

export async function audit(parts: AuditParts): Promise<AuditFigures> {
  const figures: AuditFigures = {
    failedReads: 0,
    staleReads: 0,
    ttlDriftMaxSeconds: 0,
    ttlDriftUnmovedMaxSeconds: 0,
    wrongCounters: 0,
    present: 0,
  };
  const batches = Math.ceil(parts.keys / BATCH);
  for (let batch = 0; batch < batches; batch++) {
    parts.signal.throwIfAborted();
    const keys = Array.from({ length: Math.min(BATCH, parts.keys - batch * BATCH) }, (_, i) => batch * BATCH + i);
    await auditValues(parts, figures, keys);
    await auditItems(parts, figures, keys);
  }
  await auditCounters(parts, figures);
  return figures;
}

async function auditValues(parts: AuditParts, figures: AuditFigures, keys: readonly number[]): Promise<void> {
  const { books, problem, lost } = parts;
  await Promise.all(
    keys.map(async (key) => {
      let seen: Sighting;
      try {
        const value = await parts.client.get(keyOf(key));
        seen = value === undefined ? "miss" : (versionOf(key, value) ?? "malformed");
      } catch (error) {
        figures.failedReads++;
        return problem(`read of ${keyOf(key)} failed: ${String(error)}`);
      }
      if (seen !== "miss") figures.present++;
      const { stamp, doubts } = known(books, key);
      const verdict = judgeExactly(stamp, doubts, seen);
      if (verdict === "ok") return;
      if (verdict === "stale") figures.staleReads++;
      else lost.add(keyOf(key));
      problem(`${verdict}: ${keyOf(key)} shows ${seen} at the end, its stamp is ${stamp}`);
    }),
  );
}

/** TTL and flags of the items that have to be there, as their servers have them. */
async function auditItems(parts: AuditParts, figures: AuditFigures, keys: readonly number[]): Promise<void> {
  const { client, pool, books, problem } = parts;
  const byServer = new Map<string, number[]>();
  for (const key of keys) {
    const { stamp, doubts } = known(books, key);
    if (stamp % 2 === 1 || doubts.length > 0) continue;
    const { address } = client.locate(keyOf(key));
    byServer.set(address, [...(byServer.get(address) ?? []), key]);
  }
  for (const [address, listed] of byServer) {
    for (let from = 0; from < listed.length; from += MAX_COMMANDS) {
      const part = listed.slice(from, from + MAX_COMMANDS);
      const commands = part.map((key) => metaGet(wireKeyOf(keyOf(key)), "t f s"));
      const askedAt = monotonicMs();
      const { replies } = await pool.exchange({ name: address, address }, commands);
      const asked: Span = { from: askedAt, to: monotonicMs() };
      part.forEach((key, i) => {
        const wrong = auditItem(parts, figures, key, replies[i]!, asked);
        if (wrong === undefined) return;
        figures.staleReads++;
        problem(`stale: ${keyOf(key)} has ${wrong}`);
      });
    }
  }
}

/** Two moments between which something happened, in ms of `monotonicMs`. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** What is wrong with an item, in words; a TTL that is a little off is not wrong but drift. */
function auditItem(
  { books, mayHaveMoved }: AuditParts,
  figures: AuditFigures,
  key: number,
  reply: Reply,
  asked: Span,
): string | undefined {
  if (reply.status === "EN") return undefined; // lost, and counted so
  if (reply.flags !== flagsOf(key)) return `client flags ${reply.flags} instead of ${flagsOf(key)}`;
  const { stamp, written } = known(books, key);
  const ttl = ttlOf(key, stamp / 2);
  if (ttl === 0) return reply.ttl === -1 ? undefined : `a TTL of ${reply.ttl} s instead of none`;
  if (reply.ttl === undefined || reply.ttl < 0) return `no TTL instead of ${ttl} s`;
  const drift = driftOf(ttl, written, reply.ttl, asked);
  figures.ttlDriftMaxSeconds = Math.max(figures.ttlDriftMaxSeconds, drift);
  if (!mayHaveMoved(key)) figures.ttlDriftUnmovedMaxSeconds = Math.max(figures.ttlDriftUnmovedMaxSeconds, drift);
  return undefined;
}

/** Seconds by which a remaining TTL lies outside what is possible, given when it was written and asked for. 0 when neither is known. */
export function driftOf(ttl: number, written: Span, remaining: number, asked: Span): number {
  const least = ttl - (asked.to - written.from) / 1_000;
  const most = ttl - (asked.from - written.to) / 1_000;
  return Math.max(0, least - remaining, remaining - most) || 0;
}

/** Checks that each counter is the sum of what was added to it. */
async function auditCounters(parts: AuditParts, figures: AuditFigures): Promise<void> {
  for (let counter = 0; counter < parts.counters; counter++) {
    const key = counterOf(counter);
    const sum = (field: "increments" | "doubtfulIncrements") =>
      parts.books.reduce((all, book) => all + book[field][counter]!, 0);
    const least = sum("increments");
    const most = least + sum("doubtfulIncrements");
    try {
      const count = await parts.client.get(key);
      if (count === undefined) parts.lost.add(key);
      else figures.present++;
      if (typeof count === "number" && count >= least && count <= most) continue;
      figures.wrongCounters++;
      parts.problem(`wrong: ${key} is ${String(count)}, the increments add up to ${least}`);
    } catch (error) {
      figures.failedReads++;
      parts.problem(`read of ${key} failed: ${String(error)}`);
    }
  }
}

interface Known {
  readonly stamp: number;
  readonly doubts: readonly number[];
  readonly written: Span;
}

/** What a key's writer knows of it. */
function known(books: readonly Books[], key: number): Known {
  const book = books[key % books.length]!;
  const number = Math.floor(key / books.length);
  return {
    stamp: book.stamps[number]!,
    doubts: book.doubts.get(key) ?? [],
    written: { from: book.sentAt[number]!, to: book.answeredAt[number]! },
  };
}
