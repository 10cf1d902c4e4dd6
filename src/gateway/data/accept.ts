/** Which form of a value a caller wants: the JSON document, or what was stored, raw (RFC 9110, section 12.5.1). */
import { essence, JSON_TYPE } from "./entity.ts";

export type Form = "document" | "raw";

interface Range {
  readonly type: string;
  readonly quality: number;
}

/**
 * The document unless the stored type is preferred to JSON. Undefined: neither is acceptable.
 * @param accept the header; null takes anything
 * @param typed the value was PUT with its type: where JSON was, `application/json` means what was PUT
 */
export function negotiate(accept: string | null, storedType: string, typed: boolean): Form | undefined {
  if (accept === null || accept === "*/*" || accept === "") return "document";
  const ranges = accept.split(",", 32).map(rangeOf);
  const stored = essence(storedType);
  const raw = quality(ranges, stored);
  const named = ranges.some((range) => range.type === stored && range.quality > 0);
  if (stored === JSON_TYPE) {
    if (raw === 0) return undefined;
    // "application/json, */*" is how clients say "anything, as JSON"
    return typed && named && !ranges.some((range) => range.type === "*/*") ? "raw" : "document";
  }
  const document = quality(ranges, JSON_TYPE);
  if (raw === 0 && document === 0) return undefined;
  if (raw === document)
    return document > 0 && !(named && !ranges.some(({ type }) => type === JSON_TYPE)) ? "document" : "raw";
  return raw > document ? "raw" : "document";
}

/** The quality of the most specific range that has the type; 0 for none. */
function quality(ranges: readonly Range[], type: string): number {
  const group = `${type.split("/", 1)[0]}/*`;
  for (const wanted of [type, group, "*/*"]) {
    const range = ranges.find((one) => one.type === wanted);
    if (range !== undefined) return range.quality;
  }
  return 0;
}

function rangeOf(text: string): Range {
  const [type = "", ...parameters] = text.split(";");
  const q = parameters.map((parameter) => /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i.exec(parameter)?.[1]).find(Boolean);
  return { type: type.trim().toLowerCase(), quality: q === undefined ? 1 : Math.min(1, Number(q)) };
}
