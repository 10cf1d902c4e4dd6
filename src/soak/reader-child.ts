/** A process with many clients, all of which read one key again and again, for `hot-key`. */
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import { isRingshiftError } from "../errors.ts";
import { answering, opened } from "./child.ts";

export type ReadQuestion =
  | { readonly type: "open"; readonly redis: string; readonly clients: number }
  | { readonly type: "read"; readonly key: string; readonly value: string; readonly times: number };

export interface ReadAnswer {
  /** How long each client's first read took, in ms, and the later ones. */
  readonly first: readonly number[];
  readonly later: readonly number[];
  readonly wrong: readonly string[];
}

const clients: Client[] = [];

answering(async (question: ReadQuestion): Promise<ReadAnswer> => {
  const [first, later, wrong]: [number[], number[], string[]] = [[], [], []];
  if (question.type === "open") {
    const { redis } = question;
    for (let i = 0; i < question.clients; i++) {
      const client = await opened(() => createClient({ redis })); // one after another: the machine is shared with all the other processes
      await client.getMulti(Array.from({ length: 50 }, (_, key) => `warm:${key}`));
      clients.push(client);
    }
    return { first, later, wrong };
  }
  const { key, value, times } = question;
  const read = async (client: Client): Promise<void> => {
    for (let i = 0; i < times; i++) {
      const began = performance.now();
      const found = await client.get(key).catch((error: unknown) => {
        if (!isRingshiftError(error)) throw error;
        return error.code;
      });
      (i === 0 ? first : later).push(performance.now() - began);
      if (found !== value) wrong.push(`${key} read ${found === undefined ? "nothing" : String(found)}`);
    }
  };
  await Promise.all(clients.map(read));
  return { first, later, wrong };
});
