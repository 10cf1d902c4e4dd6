/** `verify`: the index against the servers. Exit code 5 when they differ. */
import type { Command } from "commander";
import type { Findings, VerifyReport } from "../migration/verify.ts";
import { withAdmin } from "./connect.ts";
import { EXIT } from "./exit-codes.ts";
import { withProgress } from "./operation.ts";
import { globalsOf } from "./options.ts";
import { count, data, json, ok, warning } from "./output.ts";

interface VerifyFlags {
  readonly full?: boolean;
  readonly fix?: boolean;
}

export function registerVerify(program: Command): void {
  program
    .command("verify")
    .description("check that every key is listed under its point, and on the server that owns it")
    .option("--full", "read every server's keys as well (lru_crawler metadump)")
    .option("--fix", "list what is missing, delete what is on the wrong server")
    .action(async ({ full, fix }: VerifyFlags, command: Command) => {
      const globals = globalsOf(command);
      const report = await withAdmin(globals, (admin) =>
        withProgress((onProgress) => admin.verify({ full, fix, onProgress })),
      );
      if (globals.json) json(report);
      else data(reportLines(report));
      for (const line of problems(report)) warning(line);
      if (report.clean) ok("The index and the servers agree");
      else process.exitCode = EXIT.UNHEALTHY;
    });
}

function reportLines(report: VerifyReport): string[] {
  const { entries, live, dead, leftOver, full, keys, missing, unrecorded, strays } = report;
  return [
    `Entries       ${count(entries)}: ${count(live)} live, ${count(dead)} dead${leftOver > 0 ? `, ${count(leftOver)} left over` : ""}`,
    ...(full ? [`Keys          ${count(keys)} live on their owners`] : []),
    ...findingLines("Not listed", missing),
    ...findingLines("Not recorded", unrecorded),
    ...findingLines("Wrong server", strays),
  ];
}

function findingLines(title: string, { count: found, fixed, examples }: Findings): string[] {
  if (found === 0) return [];
  const line = `${title.padEnd(13)} ${count(found)}${fixed > 0 ? `, ${count(fixed)} of them put right` : ""}`;
  return [line, ...examples.map(({ key, node }) => `    ${JSON.stringify(key)} on ${node}`)];
}

function problems({ clean, full, incomplete, unchecked, missing, unrecorded, strays }: VerifyReport): string[] {
  const left = [missing, unrecorded, strays].some((found) => found.count > found.fixed);
  return [
    ...unchecked.map(({ node, why }) => `${node} could not be checked: ${why}`),
    ...incomplete.map(
      (node) => `The index may lack keys of ${node}; migrations search the server itself. ringshift reindex ${node}`,
    ),
    ...(!clean && left && full ? ["ringshift verify --full --fix puts it right"] : []),
    ...(!clean && left && !full ? ["ringshift verify --fix puts it right"] : []),
  ];
}
