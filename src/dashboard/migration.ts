/** The change under way: bar, rate, estimate, and its buttons. */
import type { MigrationView } from "../gateway/admin/state.ts";
import { send } from "./api.ts";
import { byId, wordsOf } from "./dom.ts";

export function showMigration(migration: MigrationView | null): void {
  byId("migration-detail").hidden = migration === null;
  setText("migration-text", migration === null ? "None is under way." : `${migration.command}: ${stateOf(migration)}`);
  if (migration === null) {
    setText("migration-error", "");
    return;
  }
  const { sets, setsDone, moved, keysPerSecond, etaSeconds, paused = false } = migration;
  const bar = byId<HTMLProgressElement>("migration-bar");
  bar.max = Math.max(1, sets);
  bar.value = setsDone;
  const rest = etaSeconds === null || paused ? "" : `, about ${etaSeconds} s to go`;
  const numbers = `${count(setsDone)} of ${count(sets)} sets, ${count(moved)} keys moved, ${count(keysPerSecond)} keys/s`;
  setText("migration-numbers", `${numbers}${rest}`);
  byId<HTMLButtonElement>("pause").disabled = paused;
  byId<HTMLButtonElement>("resume").disabled = !paused && migration.coordinator !== undefined;
}

export function listenMigration(): void {
  for (const verb of ["pause", "resume", "abort"]) {
    byId(verb).addEventListener("click", () => {
      setText("migration-error", "");
      send("POST", `/api/migration/${verb}`).catch((error: unknown) => setText("migration-error", wordsOf(error)));
    });
  }
}

function stateOf({ state, paused, aborting, coordinator }: MigrationView): string {
  if (aborting) return "being taken back";
  if (paused) return "paused";
  return coordinator === undefined && state !== "settling" ? `${state}, coordinated by nobody: resume it` : state;
}

/** The same text again would be read out again. */
function setText(id: string, text: string): void {
  const target = byId(id);
  if (target.textContent !== text) target.textContent = text;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
