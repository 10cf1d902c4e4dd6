/**
 * Fills of pulls that come late, as those of a process do that is stopped between two steps (rule P): its placeholder is taken over meanwhile, and
 * whatever happens to the key then happens before the fill arrives. From outside a process is hardly ever stopped at just that moment.
 */
import type { Command } from "../memcached/exchange.ts";
import { Link } from "../memcached/link.ts";
import type { Random } from "../model/random.ts";

const SHARE = 0.1;
/** Longer than it takes until somebody's placeholder is taken over. */
const LEAST_MS = 50;
const MOST_MS = 700;

/** From now on for every link of this process. */
export function fillLate(random: Random): void {
  const { enqueue } = Link.prototype;
  Link.prototype.enqueue = function (item) {
    if (!item.commands.some(isFill) || !random.chance(SHARE)) enqueue.call(this, item);
    else setTimeout(() => enqueue.call(this, item), random.int(LEAST_MS, MOST_MS));
  };
}

/** Also as the rule `addfill` off has it. */
function isFill({ line, data }: Command): boolean {
  return /^(cas|add) (?!ringshift:)/.test(line) && data !== undefined && data.length > 0;
}
