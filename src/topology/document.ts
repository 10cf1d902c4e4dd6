/**
 * The topology document: all that routing depends on, immutable per publication, kept in Redis (docs/protocol.md, "State").
 *
 *   S stable ── F fencing ── D dual ── S (settling) ── S
 *                  └─ abort ─ S
 *
 * The only writer is a compare-and-set on `id`, so there is one history however many processes publish.
 */
import { randomFillSync } from "node:crypto";
import { RingshiftError } from "../errors.ts";

export const DOCUMENT_VERSION = 1;

/** S: every key has one owner. F: fences are about to rise. D: moving keys have an old and a new owner. */
export type Phase = "S" | "F" | "D";

export type Compat = "ringshift" | "libketama" | "libmemcached";

/** A Memcached server of the cluster. The name is what is hashed; the address may change without moving a key. */
export interface NodeRecord {
  /** Integer given at joining, never used again. Two records are the same node when their indexes are equal. */
  readonly index: number;
  readonly name: string;
  /** `host:port` */
  readonly address: string;
  /** 160 points per unit. A node has weight or vnodes, never both; neither means weight 1. */
  readonly weight?: number;
  /** md5 rounds of four points each. */
  readonly vnodes?: number;
}

/** What an operator asked for, so that the same command can be recognised and resumed. */
export interface Operation {
  readonly id: string;
  /** The command in words, `add-node 10.0.0.4:11211` for example. Equal texts are the same change. */
  readonly command: string;
  /** ISO 8601 time at which F was published. */
  readonly startedAt: string;
}

export interface TopologyDocument {
  readonly version: number;
  /** Unique per publication; tells two documents of one epoch apart. */
  readonly id: string;
  readonly epoch: number;
  readonly phase: Phase;
  readonly ring: { readonly compat: Compat; readonly hashTags: boolean };
  /** In S all nodes; in F and D those of the new ring (B). */
  readonly nodes: readonly NodeRecord[];
  /** In F and D, and in S while settling: the nodes of the old ring (A). */
  readonly previousNodes: readonly NodeRecord[] | null;
  /** Per node name the number its fence item has to show. */
  readonly fences: Readonly<Record<string, number>>;
  /** A migration has just ended: stragglers of it may still have packets or placeholders about. */
  readonly settling: boolean;
  /** Generation of the key index; a sweep raises it. */
  readonly generation: number;
  /** Completed migrations. */
  readonly migrations: number;
  /** The index the next joining node gets. */
  readonly nextIndex: number;
  /** Run id of the Redis process this document was published under. */
  readonly runId: string;
  /** Nodes whose part of the index may have gaps since Redis failed over: a migration reads these servers by metadump. */
  readonly untrusted: readonly string[];
  /** The change under way, or the last one while settling. */
  readonly operation: Operation | null;
  /** In F and D: servers of the old ring that are declared dead. What needs them waits for S; nobody asks them. */
  readonly dead?: readonly string[];
  /** The index' former generation while a sweep replaces it: still read, no longer written. */
  readonly sweeping?: number | null;
  /** Put again under another run id after a fail-over of Redis: a successor may have been published and forgotten. */
  readonly recovered?: boolean;
  /** Ids of the confirmations after fail-overs that the document's history went through, the latest last. None: there were none. */
  readonly confirmations?: readonly string[];
}

const ID_BYTES = 8;
/** Drawn for many ids at a time: the call costs more than the bytes. */
const pool = Buffer.alloc(256 * ID_BYTES);
let drawn = pool.length;

/** 64 random bits in hexadecimal: document ids, incarnations, nonces, client ids. */
export function randomId(): string {
  if (drawn === pool.length) {
    randomFillSync(pool);
    drawn = 0;
  }
  drawn += ID_BYTES;
  return pool.toString("hex", drawn - ID_BYTES, drawn);
}

/** The document that follows `current` in time: next epoch, new id, published under `runId`. */
export function successor(
  current: TopologyDocument,
  runId: string,
  changes: Partial<Omit<TopologyDocument, "version" | "id" | "epoch" | "runId">>,
): TopologyDocument {
  return { ...current, recovered: false, ...changes, id: randomId(), epoch: current.epoch + 1, runId };
}

/** A cluster that has had more fail-overs remembers the latest. */
const MAX_CONFIRMATIONS = 32;

/** The document confirmed once more, after a fail-over: what was published before it and is not in its history is void. */
export function confirmedAgain(
  document: TopologyDocument,
  runId: string,
  changes: Partial<Pick<TopologyDocument, "epoch" | "fences">> = {},
): TopologyDocument {
  const untrusted = allNodes(document).map(({ name }) => name);
  const confirmations = [...(document.confirmations ?? []), randomId()].slice(-MAX_CONFIRMATIONS);
  return { ...document, ...changes, id: randomId(), runId, untrusted, recovered: true, confirmations };
}

/** The history of `one` has been confirmed since the last time that the other's was: it is newer, whatever the epochs. */
export function supersedes(one: TopologyDocument, other: TopologyDocument): boolean {
  const [ones, others] = [one.confirmations ?? [], other.confirmations ?? []];
  if (ones.length === 0) return false;
  const last = others.at(-1);
  return last === undefined || ones.lastIndexOf(last, -2) >= 0;
}

/** Of two documents that do not count in the present run of Redis: by their histories, or else by their epochs. */
export function isNewer(one: TopologyDocument, other: TopologyDocument): boolean {
  return supersedes(one, other) || (one.epoch > other.epoch && !supersedes(other, one));
}

/** Numbers of fences grow by at most so much at a time. Of 15 digits (fence.ts) that is enough for a thousand million changes. */
const FENCE_STEP = 2 ** 20;

/**
 * A number for the fences that a successor of the document raises: above all that it names, and one that no other history has. Redis may forget a
 * document; were its numbers those of the next one's, whoever holds it, and is cut off from Redis, would take the new fences for its own.
 * @param random in [0, 1)
 */
export function newFenceNumber(document: TopologyDocument, random: number): number {
  return highestFence(document) + 1 + Math.floor(random * FENCE_STEP);
}

/** No server has a fence above this. In F it is the number that F raises. */
export function highestFence({ epoch, fences }: TopologyDocument): number {
  return Math.max(epoch, ...Object.values(fences));
}

/** @throws RingshiftError UNSUPPORTED_DOCUMENT */
export function parseDocument(text: string): TopologyDocument {
  const document = JSON.parse(text) as TopologyDocument;
  if (document.version !== DOCUMENT_VERSION) {
    throw new RingshiftError(
      "UNSUPPORTED_DOCUMENT",
      `The topology document has version ${document.version}, this ringshift knows ${DOCUMENT_VERSION}: upgrade ringshift here.`,
    );
  }
  return document;
}

export function nodeByName(document: TopologyDocument, name: string): NodeRecord | undefined {
  return document.nodes.find((node) => node.name === name);
}

/** Every node that may hold keys under this document, old and new. */
export function allNodes(document: TopologyDocument): NodeRecord[] {
  const nodes = new Map<number, NodeRecord>();
  for (const node of [...document.nodes, ...(document.previousNodes ?? [])]) nodes.set(node.index, node);
  return [...nodes.values()];
}

/** True when the document declares the server dead. */
export function isDead(document: TopologyDocument, name: string): boolean {
  return document.dead?.includes(name) ?? false;
}
