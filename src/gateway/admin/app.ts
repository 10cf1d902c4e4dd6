/**
 * The admin port: what the cluster is, and changes of it (docs/gateway.md, /openapi.json). Apart from the data port, so that it can be
 * bound, guarded and limited by itself. A function from Request to Response: it needs no port.
 */
import { Hono, type MiddlewareHandler } from "hono";
import { isRingshiftError, RingshiftError } from "../../errors.ts";
import { type Change, commandText } from "../../migration/change.ts";
import type { PrepareOptions } from "../../migration/prepare.ts";
import { keysOfQuery } from "../data/key.ts";
import { queryOf, refuseUnknown } from "../data/ttl.ts";
import { HttpProblem, problemResponse } from "../http/problem.ts";
import { type Env, propertiesOf, readJson, targetOf } from "../http/request.ts";
import { changeOf, flag, newNode, removal, resizeOf } from "./change-body.ts";
import { dashboardAsset, dashboardPage } from "./dashboard-files.ts";
import { EventStream } from "./event-stream.ts";
import { checkToken, type GuardOptions, guard, requireToken } from "./guard.ts";
import { createMetrics } from "./metrics.ts";
import { openApi } from "./openapi.ts";
import { type AdminParts, StateReader } from "./parts.ts";
import { ringView } from "./ring-view.ts";
import { SECURITY_HEADERS } from "./security-headers.ts";

const MAX_BODY = 64 * 1024;
/** Points that one answer lists; a larger ring is asked for node by node. */
const MAX_POINTS = 200_000;

export interface AdminApp {
  readonly app: Hono<{ Bindings: Env }>;
  readonly events: EventStream;
}

export function createAdminApp(parts: AdminParts, guards: GuardOptions): AdminApp {
  const app = new Hono<{ Bindings: Env }>();
  const state = new StateReader(parts);
  const events = new EventStream(() => state.read(), parts.log);
  app.use(async (context, next) => {
    await next();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.res.headers.set(name, value);
  });
  app.onError((error, context) => {
    if (!(error instanceof HttpProblem) && !isRingshiftError(error)) {
      parts.log.add("gateway", "error", `${context.req.method} on the admin port failed: ${error.name}`);
    }
    return problemResponse(error);
  });
  app.notFound(({ req }) => problemResponse(nothingAt(app, req.path)));
  app.use(guard(guards));
  addPages(app, parts, state, events);
  addReading(app, parts, state);
  addChanges(app, parts, guards);
  return { app, events };
}

type App = Hono<{ Bindings: Env }>;

/** Another method of a path that there is, or no path of ours. */
function nothingAt({ routes }: App, path: string): HttpProblem {
  const here = routes.filter((route) => {
    return route.method !== "ALL" && new RegExp(`^${route.path.replace(/:\w+/g, "[^/]+")}$`).test(path);
  });
  if (here.length === 0) return new HttpProblem(404, "NOT_FOUND", "There is nothing at this path; see /openapi.json.");
  const methods = new Set(here.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method])));
  const allow = [...methods].join(", ");
  return new HttpProblem(405, "METHOD_NOT_ALLOWED", `This path takes ${allow}.`, { allow });
}

function addPages(app: App, parts: AdminParts, state: StateReader, events: EventStream): void {
  const metrics = createMetrics(parts, state);
  app.get("/", () => dashboardPage());
  app.get("/assets/:name", (context) => dashboardAsset(context.req.param("name")));
  app.get("/openapi.json", (context) => context.json(openApi()));
  app.get("/events", (context) => (context.req.method === "HEAD" ? events.head() : events.open()));
  app.get("/healthz", (context) => context.json({ status: "ok" }));
  app.get("/readyz", (context) => {
    const reason = unready(parts);
    return reason === undefined ? context.json({ status: "ready" }) : context.json({ status: "unready", reason }, 503);
  });
  app.get("/metrics", async () => {
    return new Response(await metrics.metrics(), { headers: { "content-type": metrics.contentType } });
  });
}

/** What keeps the data port from serving. A Redis that is away does not. */
function unready({ draining, watch }: AdminParts): string | undefined {
  if (draining()) return "the gateway is stopping";
  return watch.nodes.some((node) => watch.available(node.index)) ? undefined : "no node answers";
}

function addReading(app: App, { cache, admin }: AdminParts, state: StateReader): void {
  app.get("/api/state", async (context) => context.json(await state.read()));
  app.get("/api/topology", async (context) => context.json(await admin.topology()));
  app.get("/api/nodes", (context) => context.json({ nodes: state.nodes }));
  app.get("/api/ring", (context) => context.json(ringView(cache().session.view, state.holdings)));
  app.get("/api/points", (context) => {
    const { ring } = cache().session.view;
    const node = context.req.query("node");
    if (node === undefined && ring.size > MAX_POINTS)
      throw bad(`The ring has ${ring.size} points: name a node, ?node=NAME.`);
    return context.json({ node: node ?? null, points: ring.getPoints(node) });
  });
  app.get("/api/locate", (context) => {
    const keys = keysOfQuery(targetOf(context.req.raw, context.env));
    if (keys.length === 0 || keys.length > 100) throw bad("?key= is given 1 to 100 times.");
    return context.json({ keys: keys.map((key) => cache().client.locate(key)) });
  });
  app.get("/api/migration", async (context) => {
    const { migration, phase, epoch, settling } = await state.read();
    return context.json({ epoch, phase, settling, migration });
  });
}

function addChanges(app: App, parts: AdminParts, guards: GuardOptions): void {
  const { changes } = parts;
  const token = requireToken(guards);
  const body = (request: Request) => readJson(request, MAX_BODY);
  app.post("/api/plan", taking(), async (context) => {
    const change = changeOf(await body(context.req.raw));
    // a plan of new nodes connects to addresses of the caller's choice
    if (change.kind === "add-node") checkToken(context.req.header("authorization"), guards.token);
    return context.json({ command: commandText(change), ...(await changes.plan(change)) });
  });
  app.post("/api/nodes", token, taking("wait"), async (context) => {
    const { nodes, flush, force } = propertiesOf(await body(context.req.raw), ["nodes", "flush", "force"]);
    if (!Array.isArray(nodes) || nodes.length === 0 || nodes.length > 64) throw bad("nodes is a list of 1 to 64.");
    const options = { flush: flag(flush, "flush"), force: flag(force, "force") };
    return begin(parts, { kind: "add-node", nodes: nodes.map(newNode) }, options, context.req.query("wait"));
  });
  app.delete("/api/nodes/:name", token, taking("wait", "dead"), async (context) => {
    const change = removal([context.req.param("name")], isTrue(context.req.query("dead"), "dead"));
    return begin(parts, change, {}, context.req.query("wait"));
  });
  app.patch("/api/nodes/:name", token, taking("wait"), async (context) => {
    const change = resizeOf(context.req.param("name"), await body(context.req.raw));
    return begin(parts, change, {}, context.req.query("wait"));
  });
  app.post("/api/migration/pause", token, taking(), async (context) => {
    await changes.pause();
    return context.json({ paused: true });
  });
  app.post("/api/migration/resume", token, taking(), async (context) => {
    await changes.resume();
    return context.json({ paused: false }, 202);
  });
  app.post("/api/migration/abort", token, taking(), async (context) => {
    await changes.abort();
    return context.json({ aborting: true }, 202);
  });
  app.post("/api/migration/abandon", token, taking(), async (context) => {
    const { node } = propertiesOf(await body(context.req.raw), ["node"]);
    if (typeof node !== "string") throw bad("node is the name of a server.");
    await changes.abandon(node);
    return context.json({ abandoned: node }, 202);
  });
}

/** A change is not begun by a request that asks for something else too: `?ded=true` is no removal of a server that is there. */
function taking(...known: readonly string[]): MiddlewareHandler {
  const hint = known.length === 0 ? "this request takes none" : `this request takes ${known.join(" and ")}`;
  return async (context, next) => {
    refuseUnknown(queryOf(context.req.url), known, hint);
    await next();
  };
}

/** 202 with the plan once the change has passed its checks and runs, or with `?wait=true` 200 with its report. */
async function begin(
  parts: AdminParts,
  change: Change,
  options: PrepareOptions,
  wait: string | undefined,
): Promise<Response> {
  const waits = isTrue(wait, "wait");
  const { admin, changes } = parts;
  const command = commandText(change);
  const standing = await admin.underWay();
  const resumes = standing?.command === command && standing.state !== "settling";
  if (standing !== undefined && !resumes && standing.state !== "settling" && standing.state !== "cleaning") {
    throw new RingshiftError("MIGRATION_RUNNING", `"${standing.command}" is under way: see /api/migration.`);
  }
  const plan = resumes ? undefined : await changes.plan(change, options);
  const report = changes.run(change, "admin", options);
  if (waits) return Response.json(await report);
  report.catch(() => {}); // the event log has it
  return Response.json({ command, plan: plan ?? null }, { status: 202, headers: { location: "/api/migration" } });
}

function isTrue(value: string | undefined, name: string): boolean {
  if (value === undefined || value === "false") return false;
  if (value === "true" || value === "") return true;
  throw bad(`?${name}= is true or false.`);
}

function bad(message: string): HttpProblem {
  return new HttpProblem(400, "INVALID_OPTION", message);
}
