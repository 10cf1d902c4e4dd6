/** A scripted server for each test of a file, and links to it that are closed afterwards. */
import { afterEach, beforeEach } from "vitest";
import { Link, type LinkOptions } from "../../src/memcached/link.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";

export const FENCE = "ringshift:fence:t";

export let server: ScriptedServer;
const links: Link[] = [];

export function useScriptedServer(): void {
  beforeEach(async () => {
    server = await ScriptedServer.listen();
  });
  afterEach(async () => {
    await Promise.all([...links.splice(0).map((link) => link.close()), server.close()]);
  });
}

/** A link of a cluster client, without jitter, and with no timeout to speak of. */
export function newLink(options: Partial<LinkOptions> = {}): Link {
  const link = new Link({
    name: "a",
    address: server.address,
    fenceKey: FENCE,
    timeoutMs: 60_000,
    random: () => 0,
    ...options,
  });
  links.push(link);
  return link;
}

export const isFence = (line: string): boolean => line === `mg ${FENCE} v`;

/** Resolves when it is so; the test's own timeout bounds it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
