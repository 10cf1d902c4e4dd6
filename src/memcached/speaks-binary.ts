/** Tells a server that speaks the binary protocol alone (memcached -S, -B binary) from one that is not there. */
import { openSocket } from "./access.ts";
import { parseAddress } from "./address.ts";
import type { LineOptions } from "./line-session.ts";

const REQUEST_MAGIC = 0x80;
const RESPONSE_MAGIC = 0x81;
const VERSION = 0x0b;
const HEADER_BYTES = 24;

/** True when the server answers the binary protocol's version request, or refuses it in that protocol. Never rejects. */
export function speaksBinary(address: string, { timeoutMs = 2_000, access = {} }: LineOptions = {}): Promise<boolean> {
  return new Promise((resolve) => {
    const question = Buffer.alloc(HEADER_BYTES);
    question[0] = REQUEST_MAGIC;
    question[1] = VERSION;
    const socket = openSocket(parseAddress(address), access, () => socket.write(question));
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.once("data", (chunk: Buffer) => {
      resolve(chunk[0] === RESPONSE_MAGIC);
      socket.destroy();
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("end", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(false);
    });
  });
}
