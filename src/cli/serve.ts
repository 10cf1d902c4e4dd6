/** `serve`: the gateway. Ends with 0 on SIGTERM or SIGINT, after the requests in flight. */
import { once } from "node:events";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Sources } from "../config/load.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type AccessFlags, accessOf } from "./access.ts";
import { interruptible } from "./interrupt.ts";
import { json, ok } from "./output.ts";

interface SettingFlags extends AccessFlags {
  readonly password?: string;
  readonly redis?: string;
  readonly namespace?: string;
  readonly json?: boolean;
  readonly config?: string;
  readonly dataHost?: string;
  readonly dataPort?: string;
  readonly adminHost?: string;
  readonly adminPort?: string;
  readonly observerPolicy?: string;
  readonly set?: readonly (readonly [string, string])[];
}

export function registerServe(program: Command): void {
  addSettingOptions(program.command("serve"))
    .description("serve keys over HTTP, with an admin port and dashboard, until SIGTERM")
    .addHelpText("after", TOKEN_HELP)
    .action(async (_: object, command: Command) => {
      const { serve } = await import("../gateway/serve.ts");
      const { json: asJson = false } = command.optsWithGlobals<SettingFlags>();
      await interruptible(async (signal) => {
        let opened: Gateway | undefined;
        process.on("SIGHUP", () => void opened?.configured.changed());
        const gateway = await serve(sourcesOf(command));
        opened = gateway;
        ok(`Data ${gateway.dataUrl}, admin ${gateway.adminUrl}`);
        if (asJson) json({ data: gateway.dataUrl, admin: gateway.adminUrl });
        if (!signal.aborted) await once(signal, "abort");
        ok("Stopping: requests in flight finish");
        await gateway.close();
      });
    });
}

/** The options of the commands that read the configuration. */
export function addSettingOptions(command: Command): Command {
  return command
    .option("--config <file>", "settings (default: ringshift.yaml here, where there is one; env RINGSHIFT_CONFIG)")
    .option("--data-host <address>", "address of the data port")
    .option("--data-port <number>", "data port (default 8000; 0: any)")
    .option("--admin-host <address>", "address of the admin port; not loopback: needs RINGSHIFT_ADMIN_TOKEN")
    .option("--admin-port <number>", "admin port (default 9999; 0: any)")
    .addOption(new Option("--observer-policy <policy>", "what the observer does").choices(["report", "scale"]))
    .option("--set <path=value>", "any other setting, as timeouts.ioMs=500; again for more", assignment);
}

/** Where the settings of a command come from: its file, the environment, its flags. */
export function sourcesOf(command: Command): Sources {
  const flags = command.optsWithGlobals<SettingFlags>();
  const { config = process.env.RINGSHIFT_CONFIG || undefined, set = [], password } = flags;
  if (password !== undefined) accessOf({ password }, {}); // refused there
  return {
    ...(config === undefined ? {} : { file: config }),
    env: process.env,
    flags: {
      redis: flags.redis,
      namespace: flags.namespace,
      "data.host": flags.dataHost,
      "data.port": flags.dataPort,
      "admin.host": flags.adminHost,
      "admin.port": flags.adminPort,
      "observer.policy": flags.observerPolicy,
      "tls.on": flags.tls,
      "tls.ca": flags.tlsCa,
      "tls.cert": flags.tlsCert,
      "tls.key": flags.tlsKey,
      "tls.servername": flags.tlsServername,
      "auth.username": flags.username,
      "auth.file": flags.authFile,
      ...Object.fromEntries(set),
    },
  };
}

function assignment(text: string, before: readonly (readonly [string, string])[] = []): (readonly [string, string])[] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("PATH=VALUE is expected.");
  return [...before, [text.slice(0, at), text.slice(at + 1)]];
}

const TOKEN_HELP = `
Settings come from ringshift.yaml, then RINGSHIFT_* variables, then flags (ringshift config show). The token of the admin port is
RINGSHIFT_ADMIN_TOKEN (\`generate\`: drawn for this run, and said once); without one the port is read-only.`;
