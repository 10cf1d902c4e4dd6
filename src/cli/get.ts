/** `get KEY`: the value's bytes. */
import type { Command } from "commander";
import { FLAG_BYTES, FLAG_JSON, FLAG_NUMBER } from "../client/codec.ts";
import { EXIT } from "./exit-codes.ts";
import { globalsOf } from "./options.ts";
import { json, toStdout, warning } from "./output.ts";
import { type RawValue, readRaw } from "./raw-value.ts";

export function registerGet(program: Command): void {
  program
    .command("get")
    .description("write a value to stdout, byte for byte; exit 1 on a miss")
    .argument("<key>", "after -- when it begins with a dash")
    .action(async (key: string, _: object, command: Command) => {
      const globals = globalsOf(command);
      const found = await readRaw(globals, key);
      if (globals.json) json({ key, found: found !== undefined, ...(found && printable(found)) });
      else if (found !== undefined) write(found.value);
      if (found !== undefined) return;
      if (!globals.json) warning(`${JSON.stringify(key)} is not there.`);
      process.exitCode = EXIT.FAILED;
    });
}

function write(value: Buffer): void {
  const bytes = process.stdout.isTTY ? Buffer.concat([value, Buffer.from("\n")]) : value;
  toStdout(bytes);
}

/** The value as JSON can have it: what is neither text nor JSON goes in base64, and says so. */
function printable({ value, flags }: RawValue): object {
  const text = value.toString("utf8");
  if (flags & FLAG_BYTES || !Buffer.from(text, "utf8").equals(value)) {
    return { value: value.toString("base64"), encoding: "base64", flags };
  }
  // a counter beyond 2^53 would lose digits
  if (flags & FLAG_NUMBER && String(Number(text)) === text) return { value: Number(text), flags };
  if (!(flags & FLAG_JSON)) return { value: text, flags };
  try {
    return { value: JSON.parse(text) as unknown, flags };
  } catch {
    return { value: text, flags };
  }
}
