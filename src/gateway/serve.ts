/** The gateway as a program runs it: its settings from their sources, its log on stderr, its token from the environment. */
import { randomBytes } from "node:crypto";
import { destination, pino } from "pino";
import { loadSettings, type Sources } from "../config/load.ts";
import { type Gateway, startGateway } from "./gateway.ts";

/** @throws RingshiftError as `loadSettings` and `startGateway` */
export async function serve(sources: Sources): Promise<Gateway> {
  const loaded = await loadSettings(sources);
  const logger = pino({ level: loaded.settings.log.level, base: null }, destination({ dest: 2, sync: true }));
  return startGateway({ loaded, reload: () => loadSettings(sources), token: tokenOf(sources.env), logger });
}

/**
 * The admin port's token. `generate` draws one for this run and says it once on stderr: for a container that is started by itself, where a
 * token written down beforehand would be everybody's.
 */
function tokenOf(env: Sources["env"]): string | undefined {
  const given = env.RINGSHIFT_ADMIN_TOKEN;
  if (given !== "generate") return given || undefined;
  const token = randomBytes(24).toString("base64url");
  process.stderr.write(`[OK] Admin token of this run: ${token}\n`);
  return token;
}
