/** `autoApply`: carries out what a source says, as an operator would with the command line. */
import { isRingshiftError } from "../errors.ts";
import { type Admin, type AdminOptions, openAdmin } from "../migration/admin.ts";
import { type Change, commandText, type NewNode } from "../migration/change.ts";
import { changesOf, differenceOf } from "./difference.ts";

/** What a change is refused for when another process was faster, and also when it can never be made. */
const DONE_ALREADY = ["NODE_EXISTS", "NODE_UNKNOWN"] as const;

export interface Proposal {
  /** What the source names. */
  readonly found: readonly NewNode[];
  /** What that asks for, in order. A change rests on the ones before it: what comes makes room for what goes. */
  readonly changes: readonly Change[];
}

/**
 * One change after the other, until one is refused. When that is because another process has changed the nodes meanwhile, the rest is left to
 * a later look, since it was meant for other nodes.
 * @param onApplied each change that was made, by this call
 * @throws RingshiftError what a change is refused for; those before it stay. A server that has died is not removed unasked
 */
export async function applyAll(
  options: AdminOptions,
  { found, changes }: Proposal,
  onApplied: (change: Change) => void,
): Promise<void> {
  const admin = await openAdmin(options);
  try {
    for (const change of changes) {
      try {
        await admin.apply(change);
      } catch (error) {
        const maybeDone = DONE_ALREADY.some((code) => isRingshiftError(error, code));
        if (!maybeDone || (await isStillFirst(admin, change, found))) throw error;
        return;
      }
      onApplied(change);
    }
  } finally {
    await admin.close();
  }
}

/** Nobody has made the change, nor a part of it. @throws RingshiftError REDIS_UNREACHABLE */
async function isStillFirst(admin: Admin, change: Change, found: readonly NewNode[]): Promise<boolean> {
  const [first] = changesOf(differenceOf(found, (await admin.topology()).nodes));
  return first !== undefined && commandText(first) === commandText(change);
}
