/**
 * `bun run test`: runs `bun test` and counts single test cases.
 *
 * - Bun always takes the stand-ins of `@std` (tsconfig `paths`).
 * - Arguments are passed on; without a path all of `tests/` is run.
 * - The exit status is that of `bun test`; a run that counts no test at all fails too.
 * - Every skipped case is printed by name, which holds the reason.
 * - The last line reads `bun: N passed, N failed, N skipped`.
 *
 * Run by Bun only.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { runChild } from "./child.ts";
import { closingLine, countBunJunit } from "./count_tests.ts";

/** `bun test` takes a path as a filter unless it begins with `./` or `/`. */
function asPath(arg: string): string {
  return /^(tests|events|engine|api)\b/.test(arg) ? `./${arg}` : arg;
}

const args = process.argv.slice(2).map(asPath);
const folder = await mkdtemp(join(tmpdir(), "joblog-junit-"));
const report = join(folder, "report.xml");
const status = await runChild(process.execPath, [
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
