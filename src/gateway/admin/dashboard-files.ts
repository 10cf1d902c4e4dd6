/** The dashboard's files: its page and styles, its compiled script, and uPlot from its package. Nothing comes from elsewhere. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { PAGE } from "../../dashboard/page.ts";
import { STYLES } from "../../dashboard/styles.ts";
import { HttpProblem } from "../http/problem.ts";

/** From `src/gateway/admin` and from `dist/gateway/admin` alike. */
const COMPILED = new URL("../../../dist/dashboard/", import.meta.url);
const SCRIPT = /^[a-z-]{1,40}\.js$/;

const vendored: Readonly<Record<string, { readonly file: string; readonly type: string }>> = {
  "uplot.js": { file: "uplot/dist/uPlot.iife.min.js", type: "text/javascript" },
  "uplot.css": { file: "uplot/dist/uPlot.min.css", type: "text/css" },
};

export function dashboardPage(): Response {
  return new Response(PAGE, { headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-cache" } });
}

/** @throws HttpProblem NOT_FOUND */
export async function dashboardAsset(name: string): Promise<Response> {
  if (name === "styles.css") return asset(STYLES, "text/css");
  if (Object.hasOwn(vendored, name)) {
    const { file, type } = vendored[name]!;
    return asset(await readFile(createRequire(import.meta.url).resolve(file), "utf8"), type);
  }
  if (!SCRIPT.test(name)) throw missing();
  const text = await readFile(new URL(name, COMPILED), "utf8").catch(() => {
    throw missing();
  });
  return asset(text, "text/javascript");
}

function asset(text: string, type: string): Response {
  return new Response(text, { headers: { "content-type": `${type}; charset=utf-8`, "cache-control": "no-cache" } });
}

function missing(): HttpProblem {
  return new HttpProblem(404, "NOT_FOUND", "The dashboard has no such file.");
}
