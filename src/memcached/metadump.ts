/**
 * All keys of a server, by `lru_crawler metadump hash`: the walk over the hash table meets every item that stays there throughout, which
 * the walk over the LRU lists does not promise.
 *
 * memcached does not say when a dump went wrong. With a client that does not read for a second it repeats a part of its buffer, or sends
 * `END` before the last keys (crawler.c, lru_crawler_write). So the lines are read ahead of the consumer, each must have its exact form,
 * and after `END` a `mn` must be answered by nothing but `MN`; otherwise the dump ends with an error instead of as if it were complete.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isErrorLine, type LineOptions, LineSession } from "./line-session.ts";

export interface MetadumpOptions extends LineOptions {
  /** How long to try again while another crawl runs (BUSY). Default 10,000. */
  readonly maxWaitMs?: number | undefined;
  /** How long the server may take to begin: it waits for an expansion of its hash table. Default 60,000. */
  readonly firstLineMs?: number | undefined;
}

const RETRY_MS = 50;
const DUMP_LINE =
  /^key=([A-Za-z0-9\-._~%]+) exp=-?\d+ la=\d+ cas=\d+ fetch=(?:yes|no) cls=\d+ size=\d+(?: (?!key=)[a-z]+=[^\s=]+)*$/;

/**
 * Yields the wire keys of live items, as latin1 text. Leaving the loop early closes the connection. Keys that are stored, deleted or
 * moved meanwhile may or may not be among them; a key may come twice.
 * @throws RingshiftError META_REQUIRED where the server has no metadump or forbids it (-X), TIMEOUT when it stays busy, PROTOCOL_ERROR when the
 * dump is damaged (read it again), NODE_DOWN, QUEUE_FULL when the consumer is too far behind
 */
export async function* metadump(
  address: string,
  options: MetadumpOptions = {},
): AsyncGenerator<string, void, undefined> {
  const session = new LineSession(address, options);
  try {
    let line: string = await begin(session, options);
    while (line !== "END") {
      const match = DUMP_LINE.exec(line);
      if (match === null)
        throw session.error("PROTOCOL_ERROR", `a damaged line in the metadump: ${JSON.stringify(line.slice(0, 60))}`);
      yield decodeKey(match[1] as string);
      line = session.lineAtHand() ?? (await session.line());
    }
    session.send("mn");
    if ((await session.line()) !== "MN")
      throw session.error("PROTOCOL_ERROR", "the metadump ended before its last key");
  } finally {
    session.close();
  }
}

/** Starts the dump, again and again while the server is busy with another crawl; resolves with the first line. */
async function begin(session: LineSession, options: MetadumpOptions): Promise<string> {
  const giveUp = performance.now() + (options.maxWaitMs ?? 10_000);
  for (;;) {
    session.send("lru_crawler metadump hash");
    const line = await session.line(options.firstLineMs ?? 60_000);
    if (isErrorLine(line))
      throw session.error("META_REQUIRED", `it does not list its keys (lru_crawler metadump): ${line}`);
    if (!line.startsWith("BUSY")) return line;
    if (performance.now() >= giveUp) throw session.error("TIMEOUT", `another crawl keeps it busy: ${line}`);
    await sleep(RETRY_MS);
  }
}

function decodeKey(text: string): string {
  if (!text.includes("%")) return text;
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
