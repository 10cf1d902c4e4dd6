/**
 * What is said on a new connection before anything queued.
 *
 *     connected --> authentication --> the options' handshake --> [probe, onRejoin] --> queue
 *                   |--------------- greet ------------------|    |-- first words --|
 */
import { RingshiftError } from "../errors.ts";
import { authCommand } from "./access.ts";
import type { Command, Exchanged } from "./exchange.ts";
import { newFlush, newPending, type Settle, settled } from "./flush.ts";
import type { Carrier, FirstWords, Handshake, LinkOptions } from "./link-options.ts";

/** Authentication first, where there is one, then what the options want. */
export function handshakesOf({ access, handshake, name }: LinkOptions): Handshake[] {
  const own = handshake === undefined ? [] : [handshake];
  if (access?.auth === undefined) return own;
  const check: Handshake["check"] = ([reply]) => {
    if (reply?.status === "STORED") return undefined;
    const answer = `${reply?.status} ${reply?.message}`.trimEnd();
    return new RingshiftError("AUTH_FAILED", `${name}: authentication was answered ${answer}`, { node: name });
  };
  return [{ commands: [authCommand(access.auth)], check }, ...own];
}

/**
 * One handshake after the other: a server that refuses the first does not answer what came with it.
 * @param opening false when the connection is not waited for any more
 */
export function greet(
  connection: Carrier,
  [next, ...others]: readonly Handshake[],
  opening: () => boolean,
  done: () => void,
): void {
  if (next === undefined) {
    done();
    return;
  }
  const settle: Settle = (failure, result) => {
    if (failure !== undefined || !opening()) return;
    const error = next.check((result as Exchanged).replies);
    if (error === undefined) greet(connection, others, opening, done);
    else connection.destroy(error);
  };
  connection.write(newFlush([newPending(next.commands, undefined, settle)], undefined));
}

/**
 * A probe, then what has to be done before the server serves again; past the queue, over a connection that nobody else uses yet.
 * @param onRejoin asked when the probe is answered
 * @throws what the probe or `onRejoin` failed with
 */
export async function readmit(
  connection: Carrier,
  fence: Command | undefined,
  onRejoin: () => ((exchange: FirstWords) => Promise<void>) | undefined,
): Promise<void> {
  const exchange: FirstWords = (commands) =>
    settled((settle) => connection.write(newFlush([newPending(commands, undefined, settle)], fence)));
  await exchange([]);
  await onRejoin()?.(exchange);
}
