/** Asks once, under a time limit, whether the packages of `@std` can be had. */

import { spawn } from "node:child_process";
import process from "node:process";

/** How long JSR may take to answer; cached packages answer in well under a second. */
const LIMIT_MS = 8_000;

/** The names that the tests import; all must load, or the stand-ins are taken. */
const WANTED = ["jsr:@std/assert@^1.0.0", "jsr:@std/fs@^1.0.0", "jsr:@std/testing@^1.0.0/bdd"];

/** What a test of the probe itself changes. */
export interface ProbeOptions {
  /** Address of the registry. @default Deno's own */
  readonly registry?: string;
  /** Milliseconds until silence counts as absence. @default 8000 */
  readonly limitMs?: number;
}

/**
 * Resolves to whether the deno executable can load every `@std` package that the tests use.
 *
 * A registry that accepts a connection and then stays silent counts as absent.
 *
 * @param deno Path of the deno executable.
 */
export function canReachJsr(deno: string, options: ProbeOptions = {}): Promise<boolean> {
  const { registry, limitMs = LIMIT_MS } = options;
  const env = registry === undefined ? process.env : { ...process.env, JSR_URL: registry };
  return new Promise((resolve) => {
    const args = ["cache", "--no-config", "--no-lock", "--quiet", ...WANTED];
    const child = spawn(deno, args, { stdio: "ignore", env });
    const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
    child.on("error", () => {
      clearTimeout(timer);
      resolve(false);
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve(code === 0);
    });
  });
}
