/** A whole gateway on free ports, over real servers. */
import { pino } from "pino";
import { loadSettings } from "../../src/config/load.ts";
import { type Gateway, startGateway } from "../../src/gateway/gateway.ts";
import type { LocalCluster } from "../../src/testing/index.ts";

export const TOKEN = "a-token-for-these-tests";

export interface Start {
  /** Settings by path, besides Redis and the ports. */
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly file?: string;
  /** Default: TOKEN. */
  readonly token?: string | undefined;
}

export async function start(cluster: LocalCluster, options: Start = {}): Promise<Gateway> {
  const flags = { redis: cluster.redis.url, "data.port": 0, "admin.port": 0, "log.level": "silent", ...options.flags };
  const file = options.file === undefined ? {} : { file: options.file };
  const reload = () => loadSettings({ ...file, env: {}, flags });
  const token = "token" in options ? options.token : TOKEN;
  return startGateway({ loaded: await reload(), reload, token, logger: pino({ level: "silent" }) });
}

/** The admin port's JSON. */
export async function admin(
  gateway: Gateway,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const response = await fetch(`${gateway.adminUrl}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}
