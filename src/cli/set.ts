/** `set KEY VALUE`. */
import type { Command } from "commander";
import { RingshiftError } from "../errors.ts";
import { withClient } from "./connect.ts";
import { globalsOf, seconds } from "./options.ts";
import { json, ok } from "./output.ts";

/** More than any memcached takes in one item. */
const MAX_STDIN_BYTES = 1024 ** 3;

export function registerSet(program: Command): void {
  program
    .command("set")
    .description("store a value")
    .argument("<key>", "after -- when it begins with a dash")
    .argument("<value>", "text, or - for what stdin has")
    .option("--ttl <seconds>", "time to live; 0: never expires", seconds, 0)
    .action(async (key: string, value: string, { ttl }: { ttl: number }, command: Command) => {
      const globals = globalsOf(command);
      const stored = value === "-" ? await readStdin() : value;
      await withClient(globals, (client) => client.set(key, stored, { ttl }));
      if (globals.json) json({ key, stored: true, ttl });
      else ok(`${JSON.stringify(key)} is stored`);
    });
}

/** Text where it is UTF-8, so that clients read a string, else bytes. */
async function readStdin(): Promise<string | Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_STDIN_BYTES) {
      throw new RingshiftError("VALUE_TOO_LARGE", "stdin has more bytes than any memcached takes in one item.");
    }
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  const text = bytes.toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes) ? text : bytes;
}
