/**
 * `bun run test`: runs `bun test` and counts single test cases.
 *
 * - Bun always takes the stand-ins of `@std` (tsconfig `paths`).
 * - Arguments are passed on; without a path all of `tests/` is run.
 * - The exit status is that of `bun test`; a run that counts no test at all fails too.
 * - The last line reads `bun: N passed, N failed, N skipped`.
 *
 * Run by Bun only.
 */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { closingLine, countBunJunit } from "./count_tests.ts";

function run(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args], { stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? (signal === null ? 1 : 130)));
  });
}

/** `bun test` takes a path as a filter unless it begins with `./` or `/`. */
function asPath(arg: string): string {
  return /^(tests|events|engine|api)\b/.test(arg) ? `./${arg}` : arg;
}

const args = process.argv.slice(2).map(asPath);
const folder = await mkdtemp(join(tmpdir(), "joblog-junit-"));
const report = join(folder, "report.xml");
const status = await run([
  "test",
  "--timeout=60000",
  "--reporter=junit",
  `--reporter-outfile=${report}`,
  ...(args.some((arg) => !arg.startsWith("-")) ? args : [...args, "./tests/"]),
]);
const count = countBunJunit(await readFile(report, "utf8").catch(() => ""), status);
await rm(folder, { recursive: true, force: true });
for (const name of count.skippedNames) console.log(`skipped: ${name}`);
console.log(closingLine("bun", count));
process.exit(status === 0 && count.passed === 0 ? 1 : status);
