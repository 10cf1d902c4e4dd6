/** `--from SOURCE`: servers that are named outside of ringshift, and what their names would change. Nothing is changed. */
import { changesOf, differenceOf } from "../discovery/difference.ts";
import { type DiscoverySource, sourceOf } from "../discovery/source.ts";
import { RingshiftError } from "../errors.ts";
import { commandText } from "../migration/change.ts";
import { commandLine } from "./command-line.ts";
import { withAdmin } from "./connect.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import type { Globals } from "./options.ts";
import { data, json, note, ok, step } from "./output.ts";
import { planLines } from "./plan-text.ts";

const VARIABLE = "RINGSHIFT_DISCOVERY";

export const FROM_FLAG = "--from <source>";
export const FROM_HELP = `dns:HOST[:PORT], elasticache:HOST[:PORT], file:PATH, or \`discovery\`, which is what ${VARIABLE} says`;

/** @throws RingshiftError INVALID_OPTION */
export function sourceFrom(text: string, { tls, auth }: Globals): DiscoverySource {
  const named = text === "discovery" ? process.env[VARIABLE] || undefined : text;
  if (named === undefined) {
    throw new RingshiftError("INVALID_OPTION", `--from discovery reads ${VARIABLE}, which is not set: as dns:HOST.`);
  }
  return sourceOf(named, { access: { tls, auth } });
}

/** The changes that would make the cluster what the source says, each with its plan. @throws RingshiftError */
export async function planFrom(globals: Globals, text: string): Promise<ExitCode> {
  const source = sourceFrom(text, globals);
  step(`Asking ${source.text}`);
  const found = await source.find();
  return withAdmin(globals, async (admin) => {
    const difference = differenceOf(found, (await admin.topology()).nodes);
    const changes = changesOf(difference);
    const plans = [];
    for (const change of changes) {
      const command = commandText(change);
      step(`Planning ${command}`);
      plans.push({ command, ...(await admin.plan(change)) });
    }
    if (globals.json) {
      json({ source: source.text, ...difference, changes: plans });
      return EXIT.DONE;
    }
    for (const { command, ...plan } of plans) data([`${commandLine(command)}`, "", ...planLines(plan), ""]);
    if (plans.length === 0) ok(`The cluster has the servers that ${source.text} names`);
    else note("Nothing was changed: run the commands above, in this order.");
    return EXIT.DONE;
  });
}
