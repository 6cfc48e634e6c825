/**
 * `deno task test`: chooses the set of `@std`, runs `deno test` and counts single test cases.
 *
 * - JSR is asked once, by the deno executable itself and under a time limit; what is printed is
 *   what is used. There is no second try with the other set: a red run stays red.
 * - Arguments are passed on to `deno test`; without a path all of `tests/` is run.
 * - The exit status is that of `deno test`; a run that counts no test at all fails too.
 * - The last line reads `deno: N passed, N failed, N skipped` and counts `it` cases, not groups,
 *   so that it can be compared with the line of the Bun runner.
 *
 * Run by Deno only; uses `node:` modules so that the same code could run elsewhere.
 */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { closingLine, countJunit } from "./count_tests.ts";
import { canReachJsr } from "./jsr_probe.ts";

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

/** Whether the arguments for `deno test` name at least one path. */
function namesPath(args: readonly string[]): boolean {
  return args.some((arg, index) =>
    !arg.startsWith("-") && !FLAGS_WITH_VALUE.has(args[index - 1] ?? "")
  );
}

function run(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? (signal === null ? 1 : 130)));
  });
}

const args = process.argv.slice(2);
const real = await canReachJsr(Deno.execPath());
console.log(
  real
    ? "tests use @std from JSR"
    : "tests use the stand-ins in tests/support/std: JSR does not answer",
);

const folder = await mkdtemp(join(tmpdir(), "joblog-junit-"));
const report = join(folder, "report.xml");
const status = await run(Deno.execPath(), [
  "test",
  ...PERMISSIONS,
  ...(real ? [] : ["--import-map", "tests/support/std/import_map.json"]),
  `--junit-path=${report}`,
  ...args,
  ...(namesPath(args) ? [] : ["tests/"]),
]);
const count = countJunit(await readFile(report, "utf8").catch(() => ""), status);
await rm(folder, { recursive: true, force: true });
for (const name of count.skippedNames) console.log(`skipped: ${name}`);
console.log(closingLine("deno", count));
process.exit(status === 0 && count.passed === 0 ? 1 : status);
