/** What goes where: data to stdout, everything else (steps, warnings, errors, progress) to stderr. */
import { fstatSync, writeSync } from "node:fs";

const STDOUT = 1;

/** A line on stderr. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What begins now, as redis-cli says it. */
export function step(text: string): void {
  note(`>>> ${text}`);
}

export function ok(text: string): void {
  note(`[OK] ${text}`);
}

export function warning(text: string): void {
  note(`[WARNING] ${text}`);
}

/**
 * Bytes on stdout; what fails is an `error` event of process.stdout. A file gets them by writes of our own: a disk that is nearly full answers
 * a short write, which Node's stream takes for a whole one.
 */
export function toStdout(bytes: string | Uint8Array): void {
  if (!fstatSync(STDOUT).isFile()) {
    process.stdout.write(bytes);
    return;
  }
  const all = Buffer.from(bytes);
  try {
    for (let at = 0; at < all.length; ) at += writeSync(STDOUT, all, at);
  } catch (error) {
    process.stdout.emit("error", error);
  }
}

/** Lines on stdout. */
export function data(lines: readonly string[]): void {
  if (lines.length > 0) toStdout(`${lines.join("\n")}\n`);
}

/** The one JSON document of a `--json` run. */
export function json(document: unknown): void {
  toStdout(`${JSON.stringify(document, null, 2)}\n`);
}

/** One JSON document a line, for output that goes on. */
export function jsonLine(document: unknown): void {
  toStdout(`${JSON.stringify(document)}\n`);
}

/** Rows as lines, columns aligned: numbers to the right, the rest to the left. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const texts = rows.map((row) => row.map((cell) => (typeof cell === "number" ? count(cell) : cell)));
  const widths = head.map((title, i) => Math.max(title.length, ...texts.map((row) => row[i]?.length ?? 0)));
  const right = head.map((_, i) => typeof rows[0]?.[i] === "number");
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ");
  return [head, ...texts].map((cells) => line(cells).trimEnd());
}

/** 20000 as `20,000`. */
export function count(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 3 });
}

/** 0.2656 as `26.56 %`. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

export function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
