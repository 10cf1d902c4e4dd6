/**
 * Memory for the bytes of values that become text: it is needed from a value's first byte to its last, and used again for the next one. A
 * Buffer for each of 256 KiB stays until the garbage collector finds it, and its pages are new to the process each time.
 */
/** Larger ones are not kept. */
const MAX_KEPT_BYTES = 1024 * 1024;
/** Kept over all connections: as many values as arrive in turns. */
const MAX_KEPT = 4;

const kept: Buffer[] = [];

/** A buffer of `size` bytes or more, to be given back by `release`, or simply dropped. */
export function acquire(size: number): Buffer {
  const found = kept.findIndex((buffer) => buffer.length >= size);
  return found === -1 ? Buffer.allocUnsafeSlow(size) : kept.splice(found, 1)[0]!;
}

/** The text of the first `size` bytes; the buffer may be somebody else's from then on. */
export function release(buffer: Buffer, size: number): string {
  const text = buffer.toString("utf8", 0, size);
  if (buffer.length > MAX_KEPT_BYTES) return text;
  kept.push(buffer);
  if (kept.length <= MAX_KEPT) return text;
  let smallest = 0;
  for (let i = 1; i < kept.length; i++) if (kept[i]!.length < kept[smallest]!.length) smallest = i;
  kept.splice(smallest, 1);
  return text;
}
