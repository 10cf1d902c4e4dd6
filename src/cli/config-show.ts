/** `config show`: every setting of `serve`, its value, and where that comes from. */
import type { Command } from "commander";
import { printableRedisUrl } from "../topology/redis-url.ts";
import { data, json, ok, table } from "./output.ts";
import { addSettingOptions, sourcesOf } from "./serve.ts";

export function registerConfig(program: Command): void {
  const config = program.command("config").description("look at the settings of serve");
  addSettingOptions(config.command("show"))
    .description("show every setting with its value and origin; exit 2 when one is bad")
    .action(async (_: object, command: Command) => {
      const [{ loadSettings }, { LEAVES }] = await Promise.all([
        import("../config/load.ts"),
        import("../config/schema.ts"),
      ]);
      const { settings, origins } = await loadSettings(sourcesOf(command));
      const shown = LEAVES.map(({ path, variable, description }) => ({
        setting: path,
        value: withoutPassword(path, valueAt(settings, path)) ?? null,
        origin: origins.get(path) ?? "default",
        variable,
        description,
      }));
      if (command.optsWithGlobals<{ json?: boolean }>().json) return json(shown);
      const rows = shown.map(({ setting, value, origin }) => [setting, value === null ? "" : text(value), origin]);
      data(table(["Setting", "Value", "Origin"], rows));
      ok("The settings are good");
    });
}

function valueAt(settings: object, path: string): unknown {
  return path.split(".").reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>>)[name], settings);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function withoutPassword(path: string, value: unknown): unknown {
  if (path === "auth.password") return value === undefined ? undefined : "***";
  return path === "redis" ? printableRedisUrl(String(value)) : value;
}
