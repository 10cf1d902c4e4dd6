/**
 * Rule P for many keys of one pair of servers, where nothing is in the way of any of them, which is nearly every key that a copier meets:
 *
 *        B                                    A                             Redis
 *   1  ms ME c (placeholder), or
 *      add placeholder, mg f c s
 *   2                                       mg v t f c
 *   3                                                                        all keys into their points' sets, in one call
 *   4  cas value on the placeholder's token
 *   5                                       md C<cas>: HD or NF
 *
 * The steps, their order and their commands are those of pull.ts, and so are the reasons. A key with any other answer (a value, or somebody's
 * placeholder, at B; a placeholder, or another CAS, at A; a fill that did not store) is `left` to `pull`, which knows what to do. What this is for: a step of all
 * keys is as few full exchanges as hold it, all under way at once, and a key costs four commands and no object but one. By `pull` the same keys
 * take the copier twice the time (docs/performance.md).
 *
 * `ms ME c` puts the placeholder and tells its CAS in one command, but where it fails for want of memory it deletes what stands there, a value
 * that was stored since for example. A server that evicts may lose any value at any time, so there it is as good; one that does not (-M) must
 * not, and gets the classic `add`.
 */
import { isRingshiftError } from "../errors.ts";
import {
  classicAdd,
  classicCas,
  exptimeOf,
  isStored,
  metaDelete,
  metaGet,
  metaSet,
  PLACEHOLDER_FLAGS,
} from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import { isTextKey } from "../memcached/key.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { PointEntries } from "../topology/store.ts";
import { type PullKey, sameConnection } from "./crossing.ts";
import { exchanges, settleAll } from "./exchanges.ts";
import { Retry } from "./outcome.ts";
import { PLACEHOLDER_TTL_S } from "./reserve.ts";
import type { Session } from "./session.ts";
import type { View } from "./view.ts";

export interface ManyPulled<Key> {
  /** Brought to B by this pull. Those that are `left` too may have something at A still. */
  readonly moved: readonly Key[];
  /** For `pull`. */
  readonly left: readonly Key[];
  /** Of the values that were read. */
  readonly bytes: number;
}

const NO_TEXT = Buffer.alloc(0);

/** How a placeholder is put at B, and its CAS learned. */
interface Placing {
  /** Commands of one key. */
  readonly perKey: number;
  readonly put: (key: string, out: Command[]) => void;
  /** From the replies to a key's commands, which begin at `at`. Undefined: something else stands there, or it did not store. */
  readonly tokenOf: (replies: readonly Reply[], at: number) => string | undefined;
}

const PLACEHOLDER = { mode: "E", flags: PLACEHOLDER_FLAGS, ttl: PLACEHOLDER_TTL_S, returnCas: true } as const;

/** Where B evicts. */
const AT_ONCE: Placing = {
  perKey: 1,
  put: (key, out) => void out.push(metaSet(key, NO_TEXT, PLACEHOLDER, true)),
  tokenOf: (replies, at) => (replies[at]!.status === "HD" ? replies[at]!.cas : undefined),
};

/** At any server. */
const BY_LOOK: Placing = {
  perKey: 2,
  put: (key, out) =>
    void out.push(classicAdd(key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL_S, NO_TEXT, true), metaGet(key, "f c s", true)),
  tokenOf: (replies, at) => {
    const look = replies[at + 1]!;
    const ours = isStored(replies[at]!) && look.flags === PLACEHOLDER_FLAGS && look.size === 0;
    return ours ? look.cas : undefined;
  },
};

/** A key whose place at B is held. */
interface Held<Key> {
  readonly key: Key;
  /** CAS of the placeholder. */
  readonly token: string;
  copy: Reply | undefined;
}

/**
 * Keys that are in neither list are nowhere.
 * @throws Retry when the pull was aborted: any of the keys may be on its way then
 */
export async function pullMany<Key extends PullKey>(
  session: Session,
  view: View,
  source: NodeRecord,
  target: NodeRecord,
  keys: readonly Key[],
): Promise<ManyPulled<Key>> {
  const evicts = (await session.limits?.evicts(target)) ?? false;
  if (!view.confirmed || !session.isFresh(view)) return { moved: [], left: keys, bytes: 0 };
  try {
    return await new Pull<Key>(session, view, source, target).run(keys, evicts);
  } catch (error) {
    session.linger(view, (PLACEHOLDER_TTL_S + 1) * 1000); // placeholders of ours may stand
    throw error;
  }
}

class Pull<Key extends PullKey> {
  readonly #session: Session;
  readonly #view: View;
  readonly #source: NodeRecord;
  readonly #target: NodeRecord;
  readonly #moved: Key[] = [];
  readonly #left: Key[] = [];
  /** Gave the tokens. */
  #atTarget: ConnectionRef | undefined;
  /** Gave the copies. */
  #atSource: ConnectionRef | undefined;
  #readAt = 0;
  #bytes = 0;

  constructor(session: Session, view: View, source: NodeRecord, target: NodeRecord) {
    this.#session = session;
    this.#view = view;
    this.#source = source;
    this.#target = target;
  }

  /** @param evicts what `target` does for want of memory */
  async run(keys: readonly Key[], evicts: boolean): Promise<ManyPulled<Key>> {
    const text = keys.filter((key) => isTextKey(key.key) || this.#leave(key)); // a binary key is filled by `ms`
    const held = await this.#reserve(text, evicts ? AT_ONCE : BY_LOOK);
    const found = await this.#read(held);
    await this.#record(found);
    const filled = await this.#fill(found);
    await this.#kill(filled);
    this.#session.counters.pulled += this.#moved.length;
    return { moved: this.#moved, left: this.#left, bytes: this.#bytes };
  }

  #leave(key: Key): false {
    this.#left.push(key);
    return false;
  }

  /** Step 1. */
  async #reserve(keys: readonly Key[], { perKey, put, tokenOf }: Placing): Promise<Held<Key>[]> {
    const held: Held<Key>[] = [];
    const connections: ConnectionRef[] = [];
    const answered = (part: readonly Key[], { replies, connection }: Exchanged) => {
      connections.push(connection);
      for (let i = 0; i < part.length; i++) {
        const token = tokenOf(replies, perKey * i);
        if (token !== undefined) held.push({ key: part[i]!, token, copy: undefined });
        else this.#leave(part[i]!);
      }
    };
    await this.#exchange(this.#target, keys, perKey, ({ key }, out) => put(key, out), answered, undefined);
    this.#atTarget = sameConnection(connections);
    return held;
  }

  /** Step 2; the places of keys that A has not are given back, and of those that it has a placeholder of. */
  async #read(held: readonly Held<Key>[]): Promise<Held<Key>[]> {
    const connections: ConnectionRef[] = [];
    const found: Held<Key>[] = [];
    const missed: Held<Key>[] = [];
    const places: Held<Key>[] = [];
    this.#readAt = this.#session.clock.now();
    const commands = ({ key }: Held<Key>, out: Command[]) => void out.push(metaGet(key.key, "v t f c", true));
    const answered = (part: readonly Held<Key>[], { replies, connection }: Exchanged) => {
      connections.push(connection);
      for (let i = 0; i < part.length; i++) {
        const reply = replies[i]!;
        const one = part[i]!;
        if (reply.status !== "VA") missed.push(one);
        else if (reply.flags === PLACEHOLDER_FLAGS) places.push(one);
        else {
          one.copy = reply;
          this.#bytes += reply.value!.length;
          found.push(one);
        }
      }
    };
    await this.#exchange(this.#source, held, 1, commands, answered, undefined);
    this.#atSource = sameConnection(connections);
    await this.#giveBack(missed);
    await this.#giveBack(places, false);
    return found;
  }

  /** @param nowhere the keys are at neither server then; else they are left */
  async #giveBack(held: readonly Held<Key>[], nowhere = true): Promise<void> {
    const commands = ({ key, token }: Held<Key>, out: Command[]) =>
      void out.push(metaDelete(key.key, { cas: token }, true));
    const answered = (part: readonly Held<Key>[], { replies }: Exchanged) => {
      for (let i = 0; i < part.length; i++) if (!nowhere || replies[i]!.status !== "HD") this.#leave(part[i]!.key);
    };
    await this.#exchange(this.#target, held, 1, commands, answered, this.#atTarget);
  }

  /** Step 3. */
  async #record(held: readonly Held<Key>[]): Promise<void> {
    if (held.length === 0) return;
    const { store, redisDown, clock } = this.#session;
    const { document } = this.#view;
    if (redisDown) throw new Retry();
    const askedAt = clock.now();
    let id: string | null;
    try {
      id = await store.record(document.generation, entriesOf(held));
    } catch (error) {
      if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
      this.#session.redisFailed(askedAt);
      throw new Retry(error);
    }
    if (id !== document.id) throw new Retry();
  }

  /** Step 4. The places of keys that have expired since, and of those that B did not store, are given back. */
  async #fill(held: readonly Held<Key>[]): Promise<Held<Key>[]> {
    const { clock } = this.#session;
    const gone = (clock.now() - this.#readAt) / 1000;
    const seconds = clock.epochSeconds();
    const expired: Held<Key>[] = [];
    const alive = held.filter((one) => {
      const { ttl } = one.copy!;
      const left = ttl === undefined || ttl < 0 || Math.ceil(ttl - gone) > 0;
      if (!left) expired.push(one);
      return left;
    });
    const commands = ({ key, token, copy }: Held<Key>, out: Command[]) => {
      const { ttl, flags, value } = copy!;
      const exptime = ttl === undefined || ttl < 0 ? 0 : exptimeOf(Math.ceil(ttl - gone), seconds);
      out.push(classicCas(key.key, flags!, exptime, token, value!, true));
    };
    const filled: Held<Key>[] = [];
    const unfit: Held<Key>[] = [];
    const answered = (part: readonly Held<Key>[], { replies }: Exchanged) => {
      for (let i = 0; i < part.length; i++) {
        const one = part[i]!;
        const { status } = replies[i]!;
        if (status === "STORED") filled.push(one);
        else if (status === "SERVER_ERROR") unfit.push(one);
        else this.#leave(one.key);
      }
    };
    await this.#exchange(this.#target, alive, 1, commands, answered, this.#atTarget);
    for (const one of filled) this.#moved.push(one.key);
    await this.#giveBack(expired);
    await this.#giveBack(unfit, false);
    return filled;
  }

  /** Step 5. `NF` says as well as `HD` that A was without the key then. */
  async #kill(held: readonly Held<Key>[]): Promise<void> {
    const commands = ({ key, copy }: Held<Key>, out: Command[]) => {
      out.push(metaDelete(key.key, { cas: copy!.cas! }, true));
    };
    const answered = (part: readonly Held<Key>[], { replies }: Exchanged) => {
      for (let i = 0; i < part.length; i++) {
        const { status } = replies[i]!;
        if (status !== "HD" && status !== "NF") this.#leave(part[i]!.key);
      }
    };
    await this.#exchange(this.#source, held, 1, commands, answered, this.#atSource);
  }

  #exchange<T>(
    node: NodeRecord,
    items: readonly T[],
    perItem: number,
    commands: (item: T, out: Command[]) => void,
    answered: (part: readonly T[], result: Exchanged) => void,
    on: ConnectionRef | undefined,
  ): Promise<void> {
    return settleAll(exchanges(this.#session, this.#view, node, { items, perItem, commands, answered, on }));
  }
}

function entriesOf(held: readonly Held<PullKey>[]): PointEntries[] {
  const points = new Map<number, string[]>();
  for (const { key } of held) {
    const keys = points.get(key.point);
    if (keys === undefined) points.set(key.point, [key.key]);
    else keys.push(key.key);
  }
  return Array.from(points, ([point, keys]) => ({ point, keys }));
}
