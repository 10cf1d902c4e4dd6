/**
 * Numbers of a JSON text that JSON.parse takes for others without a word: 9007199254740993 for ...992 (beyond 2^53 every other integer is missing),
 * 1e400 for Infinity, which is stored as null. The digits of a fraction beyond a double's are nobody's count or id, and pass.
 */

/** Few texts have one of these, anywhere, and only those are looked through. */
const SUSPECT = /\d{16}|\d[eE]\+?\d{3}/;

/** True when an integer would come back with other digits than it was sent with, or a number is beyond a double. @param json valid */
export function hasAlteredNumber(json: string): boolean {
  if (!SUSPECT.test(json)) return false;
  const outsideStrings = json.replace(/\\./g, "").replace(/"[^"]*"/g, "");
  return outsideStrings.match(/-?\d[\d.eE+-]*/g)?.some(isAltered) ?? false;
}

function isAltered(number: string): boolean {
  return /^-?\d{16,}$/.test(number) ? String(Number(number)) !== number : !Number.isFinite(Number(number));
}
