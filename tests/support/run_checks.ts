/**
 * `deno task ok` and `deno task check`: the one gate of the project, and its type check alone.
 *
 *     run_checks.ts [STEP ...]      steps: fmt lint check doc test; all of them by default
 *
 * - Steps run in order and all of them, so that one run shows everything that is wrong.
 * - The house rules (layers, budgets, banned calls, documentation) are tests in `tests/tidy`.
 * - The exit status is 0 only if every step passed; the last lines say which did.
 *
 * Run by Deno only.
 */

import { existsSync } from "node:fs";
import process from "node:process";
import { runChild } from "./child.ts";
import { chooseStd } from "./std_choice.ts";

/** Public modules, whose documentation must be complete. */
const DOCUMENTED = ["mod.ts", "events/mod.ts"].filter((path) => existsSync(path));

const deno = Deno.execPath();

const STEPS: Readonly<Record<string, () => Promise<number>>> = {
  fmt: () => runChild(deno, ["fmt", "--check"]),
  lint: () => runChild(deno, ["lint"]),
  check: async () => await runChild(deno, ["check", ...await chooseStd(deno), "."]),
  doc: () =>
    DOCUMENTED.length === 0
      ? Promise.resolve(0)
      : runChild(deno, ["doc", "--lint", "--quiet", ...DOCUMENTED]),
  test: () => runChild(deno, ["task", "--quiet", "test"]),
};

const asked = process.argv.slice(2);
const unknown = asked.filter((step) => !(step in STEPS));
if (unknown.length > 0) {
  console.error(`Cannot run step "${unknown.join(" ")}": known are ${Object.keys(STEPS)}`);
  process.exit(2);
}
const results: string[] = [];
let failed = 0;
for (const [step, run] of Object.entries(STEPS)) {
  if (asked.length > 0 && !asked.includes(step)) continue;
  console.log(`== ${step}`);
  const status = await run();
  if (status !== 0) failed += 1;
  results.push(`${step}: ${status === 0 ? "ok" : `FAILED (status ${status})`}`);
}
for (const line of results) console.log(line);
process.exit(failed === 0 ? 0 : 1);
