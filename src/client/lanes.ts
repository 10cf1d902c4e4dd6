/**
 * One process keeps the order of its own calls per key. What a call may not overtake:
 *
 *   sent at once (direct.ts)   a read no write, a write nothing, that was sent at once on its key and is not answered
 *   in a lane                  a read no write, a write nothing, that was called for its key before
 *
 * A call sent at once may still have to begin again (the server was away, its fence was newer). It does so without a lane: nothing that
 * it could overtake has been sent, as what may not overtake it waits here until it is answered. Reads that wait behind one write begin
 * together when it is answered: one by one, with a round trip each, a key that is read and written all the time would never catch up.
 *
 * What is sent at once is written down at every call, so that has a fast form: a table of slots, chosen by the key's hash, each for one key.
 * A key that finds another one in its slot goes by a Map instead, so the order is exact whatever the hashes; a key is in one of the two only.
 * The Map alone was 0.5 µs a call. tests/client/lanes.test.ts holds it against a list a key.
 */

/** A key finds its slot taken once in 256 calls at 64 in flight. */
const SLOTS = 1 << 14;

export class Lanes {
  /** By key: its calls that are not sent at once and not answered. */
  readonly #lanes = new Map<string, Lane>();
  /** slot → the key that has calls sent at once and not answered */
  readonly #keys: (string | undefined)[];
  /** slot → how many: reads, or -1 for a write */
  readonly #calls: Int32Array;
  /** The same for keys whose slot was taken. */
  readonly #others = new Map<string, number>();
  /** A slot is the hash's lowest bits. */
  readonly #mask: number;

  /** @param slots a power of two; what they are too few for costs time and nothing else */
  constructor(slots = SLOTS) {
    this.#keys = new Array(slots).fill(undefined);
    this.#calls = new Int32Array(slots);
    this.#mask = slots - 1;
  }

  /** True when a call on the key may not be sent at once. */
  busy(key: string, hash: number, write: boolean): boolean {
    if (this.#lanes.size > 0) {
      const lane = this.#lanes.get(key);
      if (lane !== undefined && (write || lane.writing || lane.waiting.length > 0)) return true;
    }
    const calls = this.#sent(key, hash);
    return calls !== 0 && (write || calls < 0);
  }

  /** A call that `busy` lets through is sent. */
  begin(key: string, hash: number, write: boolean): void {
    const slot = hash & this.#mask;
    const holder = this.#keys[slot];
    if (this.#others.size === 0 || !this.#others.has(key)) {
      if (holder === undefined || holder === key) {
        this.#keys[slot] = key;
        this.#calls[slot] = write ? -1 : this.#calls[slot]! + 1;
        return;
      }
    }
    this.#others.set(key, write ? -1 : (this.#others.get(key) ?? 0) + 1);
  }

  /** It is answered. */
  end(key: string, hash: number): void {
    const slot = hash & this.#mask;
    if (this.#keys[slot] === key) {
      const left = Math.max(0, this.#calls[slot]! - 1);
      this.#calls[slot] = left;
      if (left > 0) return;
      this.#keys[slot] = undefined;
    } else {
      const left = this.#others.get(key)! - 1;
      if (left > 0) {
        this.#others.set(key, left);
        return;
      }
      this.#others.delete(key);
    }
    if (this.#lanes.size === 0) return;
    const lane = this.#lanes.get(key);
    if (lane !== undefined) this.#advance(lane, key, hash);
  }

  /** Runs `work` when what it may not overtake is answered: at once, where there is nothing. */
  run<T>(key: string, hash: number, write: boolean, work: () => Promise<T>): Promise<T> {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { running: 0, writing: false, waiting: [] };
      this.#lanes.set(key, lane);
    }
    const own = lane;
    return new Promise((resolve) => {
      const begin = () => {
        const done = work();
        const ended = () => this.#ended(own, key, hash);
        done.then(ended, ended);
        resolve(done);
      };
      own.waiting.push({ write, begin });
      this.#advance(own, key, hash);
    });
  }

  /** Begins what may begin, in the order of the calls. */
  #advance(lane: Lane, key: string, hash: number): void {
    for (let next = lane.waiting[0]; next !== undefined; next = lane.waiting[0]) {
      const sent = this.#sent(key, hash);
      if (lane.writing || sent < 0 || (next.write && (lane.running > 0 || sent > 0))) return;
      lane.waiting.shift();
      lane.running++;
      lane.writing = next.write;
      next.begin();
    }
  }

  #ended(lane: Lane, key: string, hash: number): void {
    lane.running--;
    lane.writing = false; // a write runs alone
    if (lane.running > 0 || lane.waiting.length > 0) this.#advance(lane, key, hash);
    else this.#lanes.delete(key);
  }

  /** Calls sent at once and not answered: how many reads, or -1 for a write. */
  #sent(key: string, hash: number): number {
    const slot = hash & this.#mask;
    if (this.#keys[slot] === key) return this.#calls[slot]!;
    return this.#others.size === 0 ? 0 : (this.#others.get(key) ?? 0);
  }
}

/** Reads that run together, or one write, and what was called after. */
interface Lane {
  running: number;
  writing: boolean;
  readonly waiting: { readonly write: boolean; readonly begin: () => void }[];
}
