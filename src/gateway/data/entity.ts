/**
 * Values as HTTP has them. What a client stores is what other ringshift clients read, so an envelope stands only where bytes alone
 * cannot say what was PUT:
 *
 *   POST {"value": v}                         v itself, as `client.set(key, v)`
 *   PUT text/plain (UTF-8)                    text
 *   PUT application/octet-stream, or no type  bytes
 *   PUT any other type                        bytes: "ringshift-content-type: image/png" CR LF CR LF body
 *
 * The envelope is a MIME header in front of the body: nothing grows by a third, every byte comes back, and any other client can cut it
 * off at the first blank line. JSON that is PUT has it too: it comes back byte by byte; who wants JSON for other clients POSTs it.
 */
import { HttpProblem } from "../http/problem.ts";

export const OCTETS = "application/octet-stream";
export const TEXT = "text/plain";
export const JSON_TYPE = "application/json";

const MAGIC = Buffer.from("ringshift-content-type: ", "latin1");
const END_OF_HEADER = Buffer.from("\r\n\r\n", "latin1");
const MAX_TYPE = 200;
/** type/subtype and parameters, of what may stand in a header field. */
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,100}\/[\w!#$&^.+-]{1,100}(?:[ \t]*;[\x20-\x7e]*)?$/;

/** A stored value with the type it would be sent as. */
export interface Entity {
  /** As stored, parameters included. */
  readonly type: string;
  readonly body: string | Buffer;
}

/** The type without its parameters, in lower case. */
export function essence(type: string): string {
  return type.split(";", 1)[0]!.trim().toLowerCase();
}

/** What to store for a body that was PUT. @throws HttpProblem INVALID_OPTION for a bad content type */
export function toStored(body: Buffer, contentType: string | null): string | Buffer {
  const type = contentType?.trim() || OCTETS;
  if (type.length > MAX_TYPE || !MEDIA_TYPE.test(type)) {
    throw new HttpProblem(400, "INVALID_OPTION", "Content-Type is not a media type.");
  }
  const plain = type.toLowerCase();
  if (plain === OCTETS && !isEnvelope(body)) return body;
  if (plain === TEXT || /^text\/plain\s*;\s*charset="?utf-8"?$/.test(plain)) {
    const text = body.toString("utf8");
    if (Buffer.from(text, "utf8").equals(body)) return text;
  }
  return Buffer.concat([MAGIC, Buffer.from(type, "latin1"), END_OF_HEADER, body]);
}

/** The stored value as it was PUT, or as its kind is sent. */
export function entityOf(value: unknown): Entity {
  if (typeof value === "string") return { type: `${TEXT}; charset=utf-8`, body: value };
  if (Buffer.isBuffer(value)) return openEnvelope(value) ?? { type: OCTETS, body: value };
  return { type: JSON_TYPE, body: jsonOf(value) };
}

/** A bigint of another client is a JSON number of all its digits. */
function jsonOf(value: unknown): string {
  return typeof value === "bigint" ? String(value) : JSON.stringify(value);
}

/** The `{"value": ...}` of a stored value. Bytes go in base64 and say so. */
export function documentOf(value: unknown): string {
  if (!Buffer.isBuffer(value)) return `{"value":${jsonOf(value)}}`;
  const entity = openEnvelope(value);
  if (entity === undefined) return JSON.stringify({ value: value.toString("base64"), encoding: "base64" });
  const bytes = entity.body as Buffer;
  const contentType = entity.type;
  const text = bytes.toString("utf8");
  // the text itself: parsed and written anew, its numbers lose what a double does not hold
  if (/[/+]json$/.test(essence(contentType)) && isJson(text)) {
    return `{"value":${text},"contentType":${JSON.stringify(contentType)}}`;
  }
  if (Buffer.from(text, "utf8").equals(bytes)) return JSON.stringify({ value: text, contentType });
  return JSON.stringify({ value: bytes.toString("base64"), encoding: "base64", contentType });
}

/** False for what only says that it is. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isEnvelope(value: Buffer): boolean {
  return value.length > MAGIC.length && value.subarray(0, MAGIC.length).equals(MAGIC);
}

function openEnvelope(value: Buffer): Entity | undefined {
  if (!isEnvelope(value)) return undefined;
  const head = value.subarray(0, MAGIC.length + MAX_TYPE + END_OF_HEADER.length);
  const end = head.indexOf(END_OF_HEADER);
  if (end === -1) return undefined;
  const type = value.toString("latin1", MAGIC.length, end);
  if (!MEDIA_TYPE.test(type)) return undefined;
  return { type, body: value.subarray(end + END_OF_HEADER.length) };
}
