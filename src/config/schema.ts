/**
 * Every setting of `ringshift serve`, with its default, its bounds and a sentence. The same schema checks the file, names the environment
 * variables and describes the settings in `config show`.
 */
import { z } from "zod";
import { formatAddress, parseAddress } from "../memcached/address.ts";
import { MIN_RATE } from "../migration/change-options.ts";
import { MAX_VNODES } from "../ring/index.ts";
import { isRedisUrl, REDIS_URL_FORM } from "../topology/redis-url.ts";

const port = z.int().min(0).max(65_535);
const host = z.string().min(1).max(253);
const milliseconds = z.int().min(1).max(3_600_000);
const seconds = z.number().min(0).max(86_400);
const file = z.string().min(1);
const share = z.number().min(0).max(1);

/** In its one spelling, port included. */
const address = z.string().transform((text, context) => {
  try {
    return formatAddress(parseAddress(text));
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
    return z.NEVER;
  }
});

const nodeObject = z.strictObject({
  address,
  name: z.string().optional(),
  weight: z.number().positive().optional(),
  vnodes: z.int().min(1).max(MAX_VNODES).optional(),
});
/** An address, or an object with one. */
const node = z.union([address.transform((text): z.infer<typeof nodeObject> => ({ address: text })), nodeObject]);

export const settingsSchema = z.strictObject({
  redis: z
    .string()
    .refine(isRedisUrl, `takes ${REDIS_URL_FORM}`)
    .default("redis://127.0.0.1:6379")
    .describe("Redis with topology and index."),
  namespace: z.string().default("default").describe("The cluster in that Redis."),
  data: z
    .strictObject({
      host: host.default("127.0.0.1").describe("Address the data port is bound to."),
      port: port.default(8000).describe("Data port; 0: any free one."),
      maxBodyBytes: z
        .int()
        .min(1024)
        .max(2 ** 30)
        .default(4 * 2 ** 20)
        .describe("Longest body of a request."),
    })
    .prefault({}),
  admin: z
    .strictObject({
      host: host.default("127.0.0.1").describe("Address the admin port is bound to; not loopback: needs a token."),
      port: port.default(9999).describe("Admin port; 0: any free one."),
      requestsPerSecond: z.int().min(1).max(100_000).default(50).describe("From one address."),
    })
    .prefault({}),
  nodes: z
    .array(node)
    .min(1)
    .max(4096)
    .optional()
    .describe("The cluster's servers. A change of the list is a migration."),
  serversFile: z.string().min(1).optional().describe("The same, from a servers file of ketama."),
  tls: z
    .strictObject({
      on: z
        .boolean()
        .optional()
        .describe("TLS to the servers (memcached -Z); on as well where another setting of it is given.")
        .meta({ variable: "RINGSHIFT_TLS" }),
      ca: file.optional().describe("Certificates that theirs has to be signed by, PEM."),
      cert: file.optional().describe("Our own certificate, PEM; with tls.key."),
      key: file.optional().describe("Its key, PEM."),
      servername: host.optional().describe("Name that their certificates have to show."),
    })
    .prefault({}),
  auth: z
    .strictObject({
      username: z
        .string()
        .min(1)
        .optional()
        .describe("Who we are to servers that ask (memcached -Y).")
        .meta({ variable: "RINGSHIFT_USERNAME" }),
      password: z.string().min(1).optional().describe("Of auth.username.").meta({ variable: "RINGSHIFT_PASSWORD" }),
      file: file.optional().describe("Both instead: one line, username:password."),
    })
    .prefault({}),
  spares: z.array(node).max(64).default([]).describe("Servers that the observer may add, in this order."),
  timeouts: z
    .strictObject({
      operationMs: milliseconds.default(5_000).describe("One operation, from its call to its last attempt's begin."),
      connectMs: milliseconds.default(1_000).describe("Connecting to a server."),
      ioMs: milliseconds.default(1_000).describe("A server's answer to one flush."),
      drainMs: milliseconds.default(10_000).describe("Requests in flight after SIGTERM."),
    })
    .prefault({}),
  migration: z
    .strictObject({ keysPerSecond: z.number().min(MIN_RATE).optional().describe("What a copier moves at most.") })
    .prefault({}),
  observer: z
    .strictObject({
      policy: z.enum(["report", "scale"]).default("report").describe("scale: adds and removes spares by itself."),
      intervalMs: z.int().min(100).max(60_000).default(1_000).describe("Between two probes of a node."),
      evictionsPerSecond: z.number().min(0).default(1).describe("Of all nodes; over it the cluster is full."),
      memoryShare: share.default(0.9).describe("Of a node's memory; over it on any node the cluster is full."),
      outAfterSeconds: seconds.default(10).describe("So long full before a spare is added."),
      inBelowShare: share
        .default(0.5)
        .describe("Memory in use, of what would be left without the last spare, to take it out."),
      inAfterSeconds: seconds.default(600).describe("So long below it before a spare is taken out."),
      coolDownSeconds: seconds.default(60).describe("After a change, before the next one."),
      minNodes: z.int().min(1).default(1).describe("The observer removes no node below this."),
      maxNodes: z.int().min(1).max(4096).default(16).describe("The observer adds no node beyond this."),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z
        .enum(["silent", "error", "warn", "info", "debug"])
        .default("info")
        .describe("debug: every request, without its key."),
    })
    .prefault({}),
});

export type Settings = z.infer<typeof settingsSchema>;
/** A server as the configuration names it. */
export type NodeSetting = z.infer<typeof nodeObject>;

/** One setting that has a value of its own: lists are one. */
export interface Leaf {
  /** `observer.policy` */
  readonly path: string;
  /** `RINGSHIFT_OBSERVER_POLICY` */
  readonly variable: string;
  readonly kind: "text" | "number" | "boolean" | "list";
  readonly description: string;
}

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly description?: string;
  /** Where it is not made of the path. */
  readonly variable?: string;
}

const KINDS: Readonly<Record<string, Leaf["kind"]>> = {
  array: "list",
  number: "number",
  integer: "number",
  boolean: "boolean",
};

/** All settings, in the order of the schema. */
export const LEAVES: readonly Leaf[] = leavesOf(
  z.toJSONSchema(settingsSchema, { io: "input", unrepresentable: "any" }) as JsonSchema,
  "",
);

function leavesOf(schema: JsonSchema, prefix: string): Leaf[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]): Leaf[] => {
    const path = `${prefix}${name}`;
    if (property.properties !== undefined) return leavesOf(property, `${path}.`);
    const { type = "", variable = variableOf(path), description = "" } = property;
    return [{ path, variable, kind: KINDS[type] ?? "text", description }];
  });
}

/** `admin.requestsPerSecond` as `RINGSHIFT_ADMIN_REQUESTS_PER_SECOND`. */
function variableOf(path: string): string {
  return `RINGSHIFT_${path
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .replaceAll(".", "_")
    .toUpperCase()}`;
}
