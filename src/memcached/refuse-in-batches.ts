/**
 * Refusals of exchanges that are not even queued.
 *
 * A caller that tries again and again is answered by the batch: without a pause it would keep the event loop from sleeping, and so from
 * gathering what the calls to other servers have to write and read.
 */
import { failAll, type Pending } from "./flush.ts";
import type { ExchangeError } from "./transport.ts";

/** A refused exchange fails within this. */
const REFUSAL_MS = 2;

/** What fails exchanges, never from inside the call. One for each link: they share a timer. */
export function refuseInBatches(): (item: Pending, refusal: ExchangeError) => void {
  const refused: [Pending, ExchangeError][] = [];
  return (item, refusal) => {
    if (refused.push([item, refusal]) > 1) return;
    setTimeout(() => {
      for (const [each, failure] of refused.splice(0)) failAll([each], failure);
    }, REFUSAL_MS);
  };
}
