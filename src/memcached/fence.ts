/**
 * The text of a fence item: `<number> <incarnation>`, and one ` u` for every append by a client that could not record a key. While
 * somebody is planting, the item is `nonce <random>` instead (docs/protocol.md, Planting).
 */
import type { FenceReading, Reply } from "./exchange.ts";

const FENCE = /^(\d{1,15}) ([0-9a-f]{16})((?: u)*)$/;
const UNINDEXED_MARK = " u";

/** What a client appends to the fence item before it writes a key that it could not record. */
export const UNINDEXED_SUFFIX: Buffer = Buffer.from(UNINDEXED_MARK, "latin1");

/** @param incarnation 16 lower-case hex digits, drawn anew at each planting. */
export function formatFence(number: number, incarnation: string, unindexed: boolean): string {
  return `${number} ${incarnation}${unindexed ? UNINDEXED_MARK : ""}`;
}

/** @param random any text without blanks. */
export function formatNonce(random: string): string {
  return `nonce ${random}`;
}

/** Whatever is not a fence counts as a nonce: `number` undefined, `incarnation` empty. */
export function parseFence(text: string): FenceReading {
  const match = FENCE.exec(text);
  if (match === null) return { number: undefined, incarnation: "", unindexed: text.endsWith(UNINDEXED_MARK), text };
  return { number: Number(match[1]), incarnation: match[2] as string, unindexed: match[3] !== "", text };
}

/**
 * The reading of a `VA` reply to the fence get; undefined for any other reply.
 * @param previous an earlier reading, given back when the text is the same: fences change rarely, flushes are many.
 */
export function readFence(reply: Reply, previous?: FenceReading): FenceReading | undefined {
  const text = reply.text ?? reply.value?.toString("latin1"); // the same where it is a fence
  if (text === undefined) return undefined;
  return previous !== undefined && previous.text === text ? previous : parseFence(text);
}
