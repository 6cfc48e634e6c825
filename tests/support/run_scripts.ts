/**
 * Runs every script of one folder, one after the other, with the runtime that runs this file.
 *
 *     run_scripts.ts tests/proof --seed 7 --budget-s 60
 *
 * - A script is a file of the folder itself that asks `import.meta.main`; the rest are its parts.
 * - Arguments after the folder are passed on to each script.
 * - All scripts run even if one fails; the exit status is 1 then. An absent folder has no scripts.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { runChild } from "./child.ts";

const DENO_FLAGS = [
  "run",
  "--v8-flags=--expose-gc",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-net",
  "--allow-run",
];

function scriptsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith("_test.ts"))
    .map((name) => `${folder}/${name}`)
    .filter((path) => readFileSync(path, "utf8").includes("import.meta.main"))
    .sort();
}

const [folder = "", ...args] = process.argv.slice(2);
const flags = "deno" in process.versions ? DENO_FLAGS : [];
const scripts = scriptsIn(folder);
if (scripts.length === 0) console.log(`no scripts in ${folder}`);
let failed = 0;
for (const script of scripts) {
  console.log(`== ${script} ${args.join(" ")}`.trimEnd());
  const status = await runChild(process.execPath, [...flags, script, ...args]);
  if (status === 0) continue;
  failed += 1;
  console.log(`${script} ended with status ${status}`);
}
process.exit(failed === 0 ? 0 : 1);
