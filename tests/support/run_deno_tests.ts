/**
 * `deno task test`: chooses the set of `@std`, runs `deno test` and counts single test cases.
 *
 * - Arguments are passed on to `deno test`; without a path all of `tests/` is run, and after it
 *   the examples in the doc comments of the public modules.
 * - The exit status is that of `deno test`; a run that counts no test at all fails too.
 * - Every skipped case is printed by name, which holds the reason.
 * - The last line reads `deno: N passed, N failed, N skipped` and counts `it` cases, not groups,
 *   so that it can be compared with the line of the Bun runner.
 *
 * Run by Deno only.
 */

import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { runChild } from "./child.ts";
import { closingLine, countJunit } from "./count_tests.ts";
import { chooseStd } from "./std_choice.ts";

const PERMISSIONS = [
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-net",
  "--allow-run",
];

/** Flags that take the next argument as their value; it is not a path to run. */
const FLAGS_WITH_VALUE = new Set(["--filter", "--seed", "--reporter", "--shard", "--ignore"]);

/** Public modules whose examples are run. */
const DOCUMENTED = ["mod.ts", "events/mod.ts"];

/** Whether the arguments for `deno test` name at least one path. */
function namesPath(args: readonly string[]): boolean {
  return args.some((arg, index) =>
    !arg.startsWith("-") && !FLAGS_WITH_VALUE.has(args[index - 1] ?? "")
  );
}

/** Runs the examples of the public modules; they are counted apart, as Bun cannot run them. */
async function runExamples(deno: string, std: readonly string[]): Promise<number> {
  const modules = DOCUMENTED.filter((path) => existsSync(path));
  if (modules.length === 0) return 0;
  console.log(`examples in the doc comments of ${modules.join(", ")}:`);
  return await runChild(deno, ["test", "--doc", ...PERMISSIONS, ...std, ...modules]);
}

const deno = Deno.execPath();
const args = process.argv.slice(2);
const everything = !namesPath(args);
const std = await chooseStd(deno);
const folder = await mkdtemp(join(tmpdir(), "joblog-junit-"));
const report = join(folder, "report.xml");
let status = await runChild(deno, [
  "test",
  ...PERMISSIONS,
  ...std,
  `--junit-path=${report}`,
  ...args,
  ...(everything ? ["tests/"] : []),
]);
const count = countJunit(await readFile(report, "utf8").catch(() => ""), status);
await rm(folder, { recursive: true, force: true });
if (everything && args.length === 0) status ||= await runExamples(deno, std);
for (const name of count.skippedNames) console.log(`skipped: ${name}`);
console.log(closingLine("deno", count));
process.exit(status === 0 && count.passed === 0 ? 1 : status);
