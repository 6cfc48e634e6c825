/**
 * Repeats one simulated run and tells its story.
 *
 *     main.ts --seed N [--actions N] [--quiet]
 *
 * - `--seed` decides everything.
 * - `--actions` bounds the actions before the faults stop. @default as many as the seed says
 * - `--quiet` prints the outcome only.
 *
 * Ends with status 1 when a promise is broken.
 */
import process from "node:process";
import { scriptOptions } from "../support/script_options.ts";
import { simulate } from "./simulate.ts";

async function main(args: readonly string[]): Promise<number> {
  const defaults = { seed: 1, actions: Infinity, quiet: false } as const;
  const { seed, actions, quiet } = scriptOptions(args, defaults);
  const bound = actions < Infinity ? { actions } : {};
  const tell = quiet ? {} : { tell: (line: string) => console.log(line) };
  const result = await simulate({ seed, ...bound, ...tell });
  console.log(`seed ${seed}: ${result.actions} actions, root ${result.root}`);
  console.log(Object.entries(result.tally).map(([what, n]) => `${n} ${what}`).join(", "));
  console.log(result.breach === undefined ? "all promises held" : `BROKEN ${result.breach}`);
  return result.breach === undefined ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
