/**
 * Plays all recorded scenarios and prints how many pass on this runtime.
 *
 *     main.ts [--order events|stream] [--jobs N] [--details] [SCENARIO ...]
 *
 * - `--order` says what must be in order: `events` takes replies and events each for themselves,
 *   `stream` also asks which of them comes first. @default both counts, and `events` decides
 * - `--jobs` is how many scenarios are played side by side. @default 2
 * - `--details` prints what differs.
 *
 * Exits with 1 if a scenario differs that is in no row of the table of deviations and not in the
 * list of what is missing, or passes although it is in that list. Without the recordings it says so
 * and exits with 0.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { DEVIATIONS } from "../../api/qmp/mod.ts";
import { NOT_YET } from "./not_yet.ts";
import { HAS_ORACLE, NO_ORACLE, type Order, play } from "./player.ts";

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

/**
 * What passes at the strict level passes at the other one, too: only the rest is played again, one
 * after the other. What differs then is played once more, as a scenario sleeps by the clock and a
 * machine may have been busy with others; that it was so is told.
 */
async function playBoth(runtime: string, names: readonly string[], jobs: number) {
  const strict = await play(names, "stream", jobs);
  const rest = strict.filter(({ ok }) => !ok).map(({ name }) => name);
  tell(`${runtime}: ${strict.length - rest.length} of ${strict.length} pass (order: stream)`);
  for (const name of rest) tell(`in another order: ${name}`);
  const again = rest.length === 0 ? [] : await play(rest, "events", 1);
  const differing = again.filter(({ ok }) => !ok).map(({ name }) => name);
  const last = differing.length === 0 ? [] : await play(differing, "events", 1);
  for (const { name, ok } of last) if (ok) tell(`passed only when played once more: ${name}`);
  return [...strict, ...again].filter(({ ok }) => ok).concat(last);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      order: { type: "string" },
      jobs: { type: "string", default: "2" },
      details: { type: "boolean", default: false },
    },
  });
  const runtime = "deno" in process.versions ? "deno" : "bun";
  if (!HAS_ORACLE) {
    tell(`${runtime}: no scenario was played: ${NO_ORACLE}`);
    return 0;
  }
  const jobs = Number(values.jobs);
  const played = values.order === undefined
    ? await playBoth(runtime, positionals, jobs)
    : await play(positionals, values.order as Order, jobs);
  const decided = new Set(DEVIATIONS.flatMap(({ scenarios }) => scenarios));
  const different = played.filter(({ ok }) => !ok);
  const waiting = new Map(
    NOT_YET.flatMap(({ what, scenarios }) => scenarios.map((name) => [name, what] as const)),
  );
  const unexplained = different.filter(({ name }) => !decided.has(name) && !waiting.has(name));
  for (const { name } of different) {
    const what = waiting.get(name);
    if (what !== undefined) tell(`not yet: ${name}: ${what}`);
  }
  for (const { name, detail } of unexplained) {
    tell(`differs: ${name}`);
    if (values.details) tell(detail.join("\n"));
  }
  for (const { name, ok } of played) {
    if (ok && decided.has(name)) tell(`passes although it is in a deviation: ${name}`);
    if (ok && waiting.has(name)) tell(`passes although it is listed as missing: ${name}`);
  }
  const listed = played.filter(({ name, ok }) => ok && waiting.has(name));
  const passed = played.length - different.length;
  tell(
    `${runtime}: ${passed} of ${played.length} scenarios pass (order: ${values.order ?? "events"})`,
  );
  return unexplained.length + listed.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
