/** The admin port described in OpenAPI 3.1. `tests/gateway/admin.test.ts` holds it against the routes there are. */

type Json = Readonly<Record<string, unknown>>;

const problem = {
  description: "application/problem+json with a code of docs/errors.md",
  content: json({ type: "object" }, true),
};
const refused = { 401: problem, 403: problem, 409: problem };
const token = [{ token: [] }];

/** A new document each time; the caller may do with it what it likes. */
export function openApi(): Json {
  return {
    openapi: "3.1.0",
    info: { title: "ringshift admin port", version: "1", description: "See docs/gateway.md." },
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer", description: "RINGSHIFT_ADMIN_TOKEN" } },
      schemas: SCHEMAS,
    },
    paths: {
      "/": { get: page("The dashboard", "text/html") },
      "/assets/{name}": { get: { ...page("A file of the dashboard", "text/javascript"), parameters: [path("name")] } },
      "/openapi.json": { get: reading("This document") },
      "/events": { get: page("Server-sent events: state and log", "text/event-stream") },
      "/healthz": { get: reading("The process is alive") },
      "/readyz": { get: { ...reading("The data port serves"), responses: { 200: ok(), 503: ok() } } },
      "/metrics": { get: page("Prometheus metrics", "text/plain") },
      "/api/state": { get: reading("Nodes, the change under way, traffic: what the dashboard shows") },
      "/api/topology": { get: reading("The topology document as Redis has it") },
      "/api/nodes": {
        get: reading("Nodes with health, shares and statistics"),
        post: changing("Add servers: one migration", {
          type: "object",
          required: ["nodes"],
          properties: {
            nodes: { type: "array", items: { $ref: "#/components/schemas/NewNode" } },
            flush: { type: "boolean", description: "Delete what the servers hold already." },
            force: { type: "boolean", description: "Take a server that looks like a proxy." },
          },
        }),
      },
      "/api/nodes/{name}": {
        delete: { ...changing("Empty a node and take it out"), parameters: [path("name"), wait, dead] },
        patch: {
          ...changing("Give a node another weight or vnode count", { $ref: "#/components/schemas/Size" }),
          parameters: [path("name"), wait],
        },
      },
      "/api/ring": { get: reading("Arcs for drawing, and those that are moving") },
      "/api/points": { get: { ...reading("Ring points, sorted"), parameters: [query("node", false)] } },
      "/api/locate": { get: { ...reading("Where keys live"), parameters: [query("key", true)] } },
      "/api/plan": {
        post: {
          summary:
            "What a change would move; nothing is changed. With new nodes it needs the token, since it connects to them.",
          security: [{}, ...token],
          requestBody: { required: true, content: json({ $ref: "#/components/schemas/Change" }) },
          responses: { 200: ok(), 400: problem, ...refused },
        },
      },
      "/api/migration": { get: reading("The change under way and how far it is") },
      "/api/migration/pause": {
        post: changing("The copiers of the change under way stand still, in every process", undefined, 200),
      },
      "/api/migration/resume": { post: changing("They go on") },
      "/api/migration/abort": { post: changing("Take the change under way back") },
      "/api/migration/abandon": {
        post: changing("Give up a server that died while keys were moving: what was there alone is lost", {
          type: "object",
          required: ["node"],
          properties: { node: { type: "string", description: "Name of the dead server." } },
        }),
      },
    },
  };
}

const SCHEMAS: Json = {
  NewNode: {
    oneOf: [
      { type: "string", examples: ["10.0.0.4:11211"] },
      {
        type: "object",
        required: ["address"],
        properties: {
          address: { type: "string" },
          name: { type: "string", description: "What is hashed; the address by default." },
          weight: { type: "number", description: "160 points per unit; not with vnodes." },
          vnodes: { type: "integer", description: "md5 rounds of four points each; not with weight." },
        },
      },
    ],
  },
  Size: {
    oneOf: [
      { type: "object", required: ["weight"], properties: { weight: { type: "number" } } },
      { type: "object", required: ["vnodes"], properties: { vnodes: { type: "integer", minimum: 1, maximum: 4096 } } },
    ],
  },
  Change: {
    type: "object",
    required: ["kind"],
    properties: {
      kind: { enum: ["add-node", "remove-node", "set-weight", "set-vnodes"] },
      nodes: { type: "array", items: { $ref: "#/components/schemas/NewNode" } },
      names: { type: "array", items: { type: "string" } },
      name: { type: "string" },
      weight: { type: "number" },
      vnodes: { type: "integer" },
      dead: { type: "boolean", description: "remove-node: the servers are gone for good, and their keys with them." },
    },
  },
};

const dead = {
  name: "dead",
  in: "query",
  schema: { type: "boolean" },
  description: "It is gone for good, and its keys with it; refused while it answers.",
};

const wait = {
  name: "wait",
  in: "query",
  schema: { type: "boolean" },
  description: "Answer at the end, with the report, instead of at once with the plan.",
};

function path(name: string): Json {
  return { name, in: "path", required: true, schema: { type: "string" } };
}

function query(name: string, required: boolean): Json {
  return { name, in: "query", required, schema: { type: "string" } };
}

function ok(): Json {
  return { description: "JSON", content: json({ type: "object" }) };
}

function json(schema: Json, isProblem = false): Json {
  return { [isProblem ? "application/problem+json" : "application/json"]: { schema } };
}

function reading(summary: string): Json {
  return { summary, responses: { 200: ok(), 503: problem } };
}

function page(summary: string, type: string): Json {
  return { summary, responses: { 200: { description: summary, content: { [type]: {} } } } };
}

function changing(summary: string, body?: Json, status = 202): Json {
  return {
    summary,
    security: token,
    parameters: [wait],
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    responses: { [status]: ok(), 200: ok(), 400: problem, ...refused },
  };
}
