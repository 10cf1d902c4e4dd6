/** Fills a cluster through ringshift, so that the index lists every key. */

import { openRingshift } from "../clients/ringshift.ts";
import { runLanes, valueText } from "./load.ts";
import { keyOf } from "./workloads.ts";

export interface FillTask {
  readonly job: "fill";
  readonly servers: readonly string[];
  readonly redis: string;
  readonly keys: number;
  readonly valueBytes: number;
}

const IN_FLIGHT = 1000;

export async function fillCluster({ servers, redis, keys, valueBytes }: FillTask): Promise<{ seconds: number }> {
  const client = await openRingshift({ servers, redis, valueBytes });
  const value = valueText(valueBytes);
  const began = performance.now();
  let left = keys;
  const { wrong } = await runLanes(
    (i) => client.set(keyOf(i), value).then(() => true),
    IN_FLIGHT,
    () => left-- > 0,
    0,
  );
  if (wrong > 0) throw new Error(`${wrong} of ${keys} keys could not be stored`);
  await client.close();
  return { seconds: (performance.now() - began) / 1000 };
}
