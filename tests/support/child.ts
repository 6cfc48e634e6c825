/** Runs one program to its end with the terminal of this one. */

import { spawn } from "node:child_process";

/**
 * Resolves to the exit status of `command`; ended by a signal it is 130.
 *
 * @throws {Error} if the program cannot be started.
 */
export function runChild(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 130));
  });
}
