/**
 * The errors of a coordinator that does not get through, each with what to do.
 *
 *   occupied     before F: another change stands there        takenBack    in F: back in S, nothing has moved
 *   taken        later: another change stands there           noProgress   it goes round and round
 */
import { RingshiftError } from "../errors.ts";
import type { TopologyDocument } from "../topology/document.ts";

export function occupied(document: TopologyDocument): RingshiftError {
  return new RingshiftError(
    "MIGRATION_RUNNING",
    `Another change (${document.operation?.command}) is under way (phase ${document.phase}): run it again to finish it first.`,
  );
}

export function takenBack(): RingshiftError {
  return new RingshiftError(
    "NODE_DOWN",
    "The change was taken back before anything moved (a server that loses or gains keys did not answer, or the change was aborted): the old ring stands. See ringshift status, then run the command again.",
  );
}

export function taken(document: TopologyDocument): RingshiftError {
  const other = document.operation?.command;
  if (other === undefined) return takenBack();
  return new RingshiftError("MIGRATION_STOPPED", `Another change has taken over (${other}): see ringshift status.`);
}

export function noProgress(): RingshiftError {
  return new RingshiftError("MIGRATION_STOPPED", "The migration made no progress: run the same command again.");
}
