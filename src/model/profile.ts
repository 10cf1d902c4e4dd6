/**
 * What a run is about. A rule shows its worth under circumstances of its own, which even chance would seldom bring together; so each run
 * draws one profile from its seed, and a plain run has the same ones as a run without a rule.
 */
import type { Feature } from "./features.ts";
import type { Random } from "./random.ts";

/** What a caller may call, with how often it does. */
export const COMMANDS = {
  get: 6,
  gets: 2,
  set: 4,
  add: 1,
  replace: 1,
  append: 1.5,
  prepend: 0.5,
  delete: 2,
  incr: 2,
  decr: 0.5,
  cas: 3,
  touch: 1,
  gat: 0.7,
  load: 1,
  getMulti: 1,
  deleteMulti: 0.3,
};

export type Command = keyof typeof COMMANDS;

export interface Profile {
  readonly name: string;
  /** Calls of one process, the fewest and the most. */
  readonly calls: readonly [number, number];
  /** Mean of the longer pauses between two calls, ms; 0: calls follow the publications closely. */
  readonly think: number;
  /** In the place of `COMMANDS`' own. */
  readonly weights: Partial<Record<Command, number>>;
  /** Changes of the ring, the fewest and the most, and how likely each takes the one before it back. */
  readonly changes: readonly [number, number];
  readonly back: number;
  /** Probability that a step of a move has a fault of its own (ambush.ts). */
  readonly ambush: number;
  /** How likely each of these faults is, in the place of ambush.ts' own figure. */
  readonly ambushes: Partial<Record<Feature, number>>;
  /** Probability that a value goes right after a pull has read it, and that a reader who finds nothing in D is slow to look further (ambush.ts). */
  readonly vanish: number;
  /** Probability that a caller's store stays on the wire, or half of it in its process, until some publication to come. */
  readonly held: number;
  /** Probability, at each publication, that a process is cut off from Redis for many seconds. */
  readonly cutOff: number;
  /** Probability, at each publication, that Redis forgets it and one process alone has heard of it (nemesis.ts). */
  readonly amnesia: number;
  /** Probability that a change is forgotten by all but one client (oblivion.ts). */
  readonly oblivion: number;
  /** Servers join and leave rather than get other weights. */
  readonly joins: boolean;
  /** Features that are on, whatever is drawn. */
  readonly on: readonly Feature[];
  /** Only one key. */
  readonly single: boolean;
}

const MIXED: Profile = {
  name: "mixed",
  calls: [4, 9],
  think: 0,
  weights: {},
  changes: [1, 4],
  back: 0.5,
  ambush: 0,
  ambushes: {},
  vanish: 0,
  held: 0,
  cutOff: 0,
  amnesia: 0,
  oblivion: 0,
  joins: false,
  on: [],
  single: false,
};

const PROFILES: readonly { readonly share: number; readonly profile: Profile }[] = [
  { share: 4, profile: MIXED },
  {
    // faults between the steps of pulls, of arming and of publications
    share: 3,
    profile: { ...MIXED, name: "ambush", calls: [6, 12], weights: { delete: 5, incr: 4, add: 2 }, ambush: 0.08 },
  },
  {
    // one hot key, with nothing else to do
    share: 1,
    profile: { ...MIXED, name: "hot", calls: [8, 14], weights: { delete: 5 }, back: 0.8, ambush: 0.04, single: true },
  },
  {
    // writes that arrive when their server has lost the key, or has regained it
    share: 3,
    profile: {
      ...MIXED,
      name: "stragglers",
      calls: [6, 12],
      weights: { add: 8, delete: 4, set: 3, append: 0.5 },
      changes: [2, 4],
      back: 0.9,
      ambush: 0.02,
      held: 0.25,
      on: ["pause"],
      single: true,
    },
  },
  {
    // processes without Redis while the ring goes on changing
    share: 1.5,
    profile: {
      ...MIXED,
      name: "cut-off",
      calls: [8, 14],
      think: 1_500,
      changes: [2, 4],
      back: 0.8,
      cutOff: 0.3,
      on: ["unreach"],
    },
  },
  {
    // keys that are written for the first time, when Redis may be out of reach
    share: 1.5,
    profile: {
      ...MIXED,
      name: "fresh",
      calls: [6, 12],
      think: 200,
      weights: { set: 6, add: 2 },
      changes: [2, 4],
      on: ["fresh", "unreach"],
    },
  },
  {
    // documents that Redis has forgotten, and that one process still acts by
    share: 2,
    profile: {
      ...MIXED,
      name: "amnesia",
      calls: [8, 14],
      think: 300,
      weights: { delete: 4, set: 5 },
      changes: [2, 4],
      back: 0.7,
      amnesia: 0.35,
      on: ["unreach", "failover"],
    },
  },
  {
    // a change, mostly of servers that join, that neither Redis nor a fence which anybody knows shows any more: one client alone goes on with it
    share: 1,
    profile: {
      ...MIXED,
      name: "oblivion",
      calls: [8, 14],
      think: 1_500,
      weights: { delete: 4, set: 5 },
      changes: [1, 3],
      back: 0.7,
      oblivion: 0.9,
      joins: true,
      on: ["unreach", "failover", "fence"],
    },
  },
  {
    // values that go while somebody pulls them
    share: 1,
    profile: {
      ...MIXED,
      name: "vanishing",
      calls: [8, 14],
      weights: { get: 12, set: 5, delete: 3 },
      changes: [2, 4],
      back: 0.8,
      vanish: 0.3,
      on: ["evict", "pause"],
      single: true,
    },
  },
  {
    // a server is declared dead that one client still reaches
    share: 2,
    profile: {
      ...MIXED,
      name: "partition",
      calls: [8, 14],
      think: 200,
      weights: { get: 10, delete: 3 },
      changes: [2, 4],
      back: 0.3,
      ambush: 0.05,
      ambushes: { dead: 12 },
      on: ["dead", "pause"],
    },
  },
];

export const PROFILE_NAMES: readonly string[] = PROFILES.map(({ profile }) => profile.name);

/** @param name of the one that is not drawn but given */
export function drawProfile(random: Random, name?: string): Profile {
  const given = PROFILES.find(({ profile }) => profile.name === name);
  if (given !== undefined) return given.profile;
  let left = random.next() * PROFILES.reduce((sum, { share }) => sum + share, 0);
  for (const { share, profile } of PROFILES) {
    left -= share;
    if (left < 0) return profile;
  }
  return MIXED;
}
