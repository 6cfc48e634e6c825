/** Skips that say why: the runner prints the name of each skipped case, and the reason is in it. */

import { it } from "@std/testing/bdd";

/**
 * Registers a case, or skips it with a printed reason.
 *
 * @param condition Whether the case can run here, such as "qemu-img is installed".
 * @param reason Why it cannot, in a few words; ends up in the name of the skipped case.
 * @param name Name of the case.
 * @param fn Body of the case.
 *
 * @example
 * ```ts ignore
 * itWhen(hasQemuImg, "qemu-img is not installed", "backup() passes qemu-img check", async () => {
 *   // ...
 * });
 * ```
 */
export function itWhen(
  condition: boolean,
  reason: string,
  name: string,
  fn: () => void | Promise<void>,
): void {
  if (condition) it(name, fn);
  else it.skip(`${name} (skipped: ${reason})`, fn);
}
