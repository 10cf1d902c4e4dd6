/** What is said on a new connection before anything queued. */
import { RingshiftError } from "../errors.ts";
import { authCommand } from "./access.ts";
import type { Handshake, LinkOptions } from "./link-options.ts";

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
