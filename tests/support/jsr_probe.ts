/** Asks once, under a time limit, whether the packages of `@std` can be had. */

import { spawn } from "node:child_process";

/** How long JSR may take to answer; a cached package answers in well under a second. */
const LIMIT_MS = 6_000;

/** The names that the tests import; all must load, or the stand-ins are taken. */
const WANTED = ["jsr:@std/assert@^1.0.0", "jsr:@std/fs@^1.0.0", "jsr:@std/testing@^1.0.0/bdd"];

/**
 * Resolves to whether the deno executable can load every `@std` package that the tests use.
 *
 * A registry that accepts a connection and stays silent counts as absent after {@linkcode LIMIT_MS}.
 *
 * @param deno Path of the deno executable.
 */
export function canReachJsr(deno: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(deno, ["cache", "--no-config", "--no-lock", "--quiet", ...WANTED], {
      stdio: "ignore",
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
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
