/** Runs an engine under strace, which lets one call of the store fail. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../support/spawn_runtime.ts";
import { type Fact, factsOf } from "./facts.ts";

const SCRIPT = fileURLToPath(new URL("engine_run.ts", import.meta.url));
/** All files that a store may touch, by their ends. */
const ENDS = ["", "-wal", "-shm", "-journal", ".new", ".new-wal", ".new-shm", ".new-journal"];
const BESIDE = [".writer", ".writer-journal", ".reserve"];

/** One call that is to fail. */
export interface FaultCase {
  readonly call: string;
  readonly errno: string;
  /** The how manieth call of its kind; 0 = none. */
  readonly nth: number;
  /** True if all later ones fail too. */
  readonly isLasting: boolean;
}

/** What a run came to. */
export interface FaultyRun {
  readonly folder: string;
  readonly path: string;
  readonly facts: readonly Fact[];
  readonly status: number | string;
  /** What it wrote to its error output. */
  readonly errors: string;
  /** The calls that failed, as strace shows them. */
  readonly injected: readonly string[];
  /** How many calls there were, by name. */
  readonly counts: ReadonlyMap<string, number>;
  remove(): void;
}

/** The case in words, such as `pwrite64 17 fails with EIO`. */
export function nameOf({ call, errno, nth, isLasting }: FaultCase): string {
  return `${call} ${nth}${isLasting ? " and all later ones fail" : " fails"} with ${errno}`;
}

/** Runs the engine with a fault; `calls` are counted. */
export async function runFaulty(fault: FaultCase, calls: readonly string[]): Promise<FaultyRun> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "joblog-faults-")));
  const path = join(folder, "jobs.db");
  const trace = `${folder}.trace`;
  const paths = [folder, ...[...ENDS, ...BESIDE].map((end) => path + end)];
  const { call, errno, nth, isLasting } = fault;
  const when = `${nth}${isLasting ? "+" : ""}`;
  const options = [
    ["-f", "--seccomp-bpf", "-o", trace, "-s", "0", "-y", "-e", `trace=${calls.join(",")}`],
    ["-e", "signal=none", ...paths.flatMap((name) => ["-P", name])],
    nth === 0 ? [] : ["-e", `inject=${call}:error=${errno}:when=${when}`],
  ].flat();
  const child = spawn("strace", [...options, ...runtimeCommand(SCRIPT, [path])], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = { out: "", errors: "" };
  child.stdout.on("data", (data) => texts.out += data);
  child.stderr.on("data", (data) => texts.errors += data);
  const status = await new Promise<number | string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal ?? code ?? -1));
  });
  const lines = readFileSync(trace, "latin1").split("\n");
  rmSync(trace);
  const counts = new Map<string, number>();
  for (const line of lines) {
    const name = /^\d+ +([a-z0-9_]+)\(/.exec(line)?.[1];
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return {
    folder,
    path,
    facts: factsOf(texts.out),
    status,
    errors: texts.errors.split("\n").filter((line) => !/warn/i.test(line)).join("\n").trim(),
    injected: lines.filter((line) => line.includes("(INJECTED)")),
    counts,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
