/** Counts single test cases in the JUnit reports of both runners, groups left out. */

/** What a run came to, in single test cases. */
export interface TestCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Full names, group > group > case, of the skipped ones; a reason stands in the name. */
  readonly skippedNames: readonly string[];
}

interface Case {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

const CASE = /<testcase ([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g;

function unescapeXml(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'").replaceAll("&#39;", "'").replaceAll("&#10;", " ")
    .replaceAll("&amp;", "&");
}

function outcomeOf(body: string): Case["outcome"] {
  if (/<(failure|error)[\s>/]/.test(body)) return "failed";
  return /<skipped[\s>/]/.test(body) ? "skipped" : "passed";
}

function readCases(xml: string): Case[] {
  const cases: Case[] = [];
  for (const [, attributes = "", , body = ""] of xml.matchAll(CASE)) {
    const name = unescapeXml(/(?:^|\s)name="([^"]*)"/.exec(attributes)?.[1] ?? "");
    cases.push({ name, outcome: outcomeOf(body) });
  }
  return cases;
}

function total(cases: readonly Case[], status: number): TestCount {
  const skippedNames = cases.filter((c) => c.outcome === "skipped").map((c) => c.name);
  const failed = cases.filter((c) => c.outcome === "failed").length;
  return {
    passed: cases.filter((c) => c.outcome === "passed").length,
    // A file that does not compile, or a hook that throws, fails no single case but fails the run.
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: skippedNames.length,
    skippedNames,
  };
}

/**
 * Counts the cases of a report of `deno test`, in which a group is a test case too, namely one
 * whose name is followed by ` > ` in the name of another.
 *
 * @param xml The report; empty if the run broke off before it wrote one.
 * @param status Exit status of the run; not 0 counts as one failure at least.
 */
export function countJunit(xml: string, status: number): TestCount {
  const cases = readCases(xml);
  const groups = new Set<string>();
  for (const { name } of cases) {
    for (let at = name.indexOf(" > "); at >= 0; at = name.indexOf(" > ", at + 1)) {
      groups.add(name.slice(0, at));
    }
  }
  return total(cases.filter(({ name }) => !groups.has(name)), status);
}

/**
 * Counts the cases of a report of `bun test`, in which groups are suites and not cases.
 *
 * @param xml The report; empty if the run broke off before it wrote one.
 * @param status Exit status of the run; not 0 counts as one failure at least.
 */
export function countBunJunit(xml: string, status: number): TestCount {
  return total(readCases(xml), status);
}

/** The line that a runner ends with: `deno: 412 passed, 0 failed, 3 skipped`. */
export function closingLine(runtime: "deno" | "bun", count: TestCount): string {
  return `${runtime}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`;
}
