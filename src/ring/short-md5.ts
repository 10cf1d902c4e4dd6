/**
 * The md5 of a short text, in plain integers: its first word is the hash that every command needs, all four are a vnode's points. Without a call
 * into OpenSSL and without allocation. What makes it worth having: a key of up to 55 bytes is one block of md5, padding included, and one char
 * of a wire string is one byte, so the block is filled from the string itself.
 *
 * Measured on Node 20, a key of 15 bytes, on one machine: 0.17 µs here, 0.35 µs by the one-shot `crypto.hash`.
 * From two blocks on OpenSSL is as fast. tests/ring/hash.test.ts holds it against `crypto` at every length. The steps are RFC 1321's.
 */

/** Longest text in bytes: a block of 64, less a byte of padding and eight for the length. */
export const MAX_SHORT_MD5 = 55;

/**
 * Called as a function, since a string has one of half a dozen internal forms (flat, joined, interned ...), and V8 looks a method up anew at
 * each call when it has met more than four: a third of the whole hash.
 */
const { charCodeAt } = String.prototype;
const WORDS = 16;
const block = new Int32Array(WORDS);
/** What a digest has behind its first word. */
const tail = new Uint32Array(3);
const sines = Int32Array.from({ length: 64 }, (_, step) => Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32));

/**
 * The digest's first four bytes as a little-endian integer.
 *
 * @param wire at most `MAX_SHORT_MD5` chars, one char a byte
 * @returns 0 to 2^32 - 1; -1 when a char is no byte
 */
export function shortMd5(wire: string): number {
  return fill(wire) ? digest() : -1;
}

/**
 * The whole digest as four little-endian integers.
 *
 * @param wire at most `MAX_SHORT_MD5` chars, one char a byte
 * @param words where they go, from index `at` on
 * @returns false, and nothing is put there, when a char is no byte
 */
export function shortMd5Words(wire: string, words: Uint32Array, at: number): boolean {
  if (!fill(wire)) return false;
  words[at] = digest();
  words.set(tail, at + 1);
  return true;
}

/** The text, the bit behind it, zeros, its length in bits. False when a char is no byte. */
function fill(wire: string): boolean {
  const { length } = wire;
  let all = 0;
  let at = 0;
  let word = 0;
  for (; at + 4 <= length; at += 4) {
    const first = charCodeAt.call(wire, at);
    const second = charCodeAt.call(wire, at + 1);
    const third = charCodeAt.call(wire, at + 2);
    const fourth = charCodeAt.call(wire, at + 3);
    all |= first | second | third | fourth;
    block[word++] = first | (second << 8) | (third << 16) | (fourth << 24);
  }
  let rest = 0x80;
  for (let last = length - 1; last >= at; last--) {
    const char = charCodeAt.call(wire, last);
    all |= char;
    rest = (rest << 8) | char;
  }
  block[word++] = rest;
  while (word < WORDS) block[word++] = 0;
  block[WORDS - 2] = length << 3;
  return all <= 0xff;
}

/**
 * Four rounds of sixteen steps, four of them a turn of a loop: a sum, which is turned left, and the next word added. Written out, since a
 * function a step is too much for V8 to inline, and a third slower.
 */
function digest(): number {
  let a = 0x67452301;
  let b = 0xefcdab89 | 0;
  let c = 0x98badcfe | 0;
  let d = 0x10325476;
  for (let i = 0; i < 16; i += 4) {
    a = (a + (d ^ (b & (c ^ d))) + block[i]! + sines[i]!) | 0;
    a = (((a << 7) | (a >>> 25)) + b) | 0;
    d = (d + (c ^ (a & (b ^ c))) + block[i + 1]! + sines[i + 1]!) | 0;
    d = (((d << 12) | (d >>> 20)) + a) | 0;
    c = (c + (b ^ (d & (a ^ b))) + block[i + 2]! + sines[i + 2]!) | 0;
    c = (((c << 17) | (c >>> 15)) + d) | 0;
    b = (b + (a ^ (c & (d ^ a))) + block[i + 3]! + sines[i + 3]!) | 0;
    b = (((b << 22) | (b >>> 10)) + c) | 0;
  }
  for (let i = 16; i < 32; i += 4) {
    a = (a + (c ^ (d & (b ^ c))) + block[(5 * i + 1) & 15]! + sines[i]!) | 0;
    a = (((a << 5) | (a >>> 27)) + b) | 0;
    d = (d + (b ^ (c & (a ^ b))) + block[(5 * i + 6) & 15]! + sines[i + 1]!) | 0;
    d = (((d << 9) | (d >>> 23)) + a) | 0;
    c = (c + (a ^ (b & (d ^ a))) + block[(5 * i + 11) & 15]! + sines[i + 2]!) | 0;
    c = (((c << 14) | (c >>> 18)) + d) | 0;
    b = (b + (d ^ (a & (c ^ d))) + block[(5 * i) & 15]! + sines[i + 3]!) | 0;
    b = (((b << 20) | (b >>> 12)) + c) | 0;
  }
  for (let i = 32; i < 48; i += 4) {
    a = (a + (b ^ c ^ d) + block[(3 * i + 5) & 15]! + sines[i]!) | 0;
    a = (((a << 4) | (a >>> 28)) + b) | 0;
    d = (d + (a ^ b ^ c) + block[(3 * i + 8) & 15]! + sines[i + 1]!) | 0;
    d = (((d << 11) | (d >>> 21)) + a) | 0;
    c = (c + (d ^ a ^ b) + block[(3 * i + 11) & 15]! + sines[i + 2]!) | 0;
    c = (((c << 16) | (c >>> 16)) + d) | 0;
    b = (b + (c ^ d ^ a) + block[(3 * i + 14) & 15]! + sines[i + 3]!) | 0;
    b = (((b << 23) | (b >>> 9)) + c) | 0;
  }
  for (let i = 48; i < 64; i += 4) {
    a = (a + (c ^ (b | ~d)) + block[(7 * i) & 15]! + sines[i]!) | 0;
    a = (((a << 6) | (a >>> 26)) + b) | 0;
    d = (d + (b ^ (a | ~c)) + block[(7 * i + 7) & 15]! + sines[i + 1]!) | 0;
    d = (((d << 10) | (d >>> 22)) + a) | 0;
    c = (c + (a ^ (d | ~b)) + block[(7 * i + 14) & 15]! + sines[i + 2]!) | 0;
    c = (((c << 15) | (c >>> 17)) + d) | 0;
    b = (b + (d ^ (c | ~a)) + block[(7 * i + 5) & 15]! + sines[i + 3]!) | 0;
    b = (((b << 21) | (b >>> 11)) + c) | 0;
  }
  tail[0] = (b + 0xefcdab89) | 0;
  tail[1] = (c + 0x98badcfe) | 0;
  tail[2] = (d + 0x10325476) | 0;
  return (a + 0x67452301) >>> 0;
}
