/** `autoApply`: carries out what a source says, as an operator would with the command line. */
import { isRingshiftError } from "../errors.ts";
import { type AdminOptions, openAdmin } from "../migration/admin.ts";
import type { Change } from "../migration/change.ts";

/** Another process was faster. */
const DONE_ALREADY = ["NODE_EXISTS", "NODE_UNKNOWN"] as const;

/** One change after the other. @throws RingshiftError what a change is refused for; a server that has died is not removed unasked */
export async function applyAll(options: AdminOptions, changes: readonly Change[]): Promise<void> {
  const admin = await openAdmin(options);
  try {
    for (const change of changes) {
      try {
        await admin.apply(change);
      } catch (error) {
        if (!DONE_ALREADY.some((code) => isRingshiftError(error, code))) throw error;
      }
    }
  } finally {
    await admin.close();
  }
}
