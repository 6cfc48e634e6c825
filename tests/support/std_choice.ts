/** Chooses between the real `@std` packages and their stand-ins; by Deno only. */

import { canReachJsr } from "./jsr_probe.ts";

/** Import map that puts the stand-ins in the place of deno.json's `jsr:` names. */
const STAND_INS = "tests/support/std/import_map.json";

/**
 * Resolves to the flags by which `deno test` and `deno check` find `@std`, and says what it chose.
 *
 * The choice is made once, before the run: a run that fails is never tried again with the others.
 *
 * @param deno Path of the deno executable.
 */
export async function chooseStd(deno: string): Promise<readonly string[]> {
  const real = await canReachJsr(deno);
  console.log(
    real
      ? "@std: the packages from JSR"
      : "@std: the stand-ins of tests/support/std, because JSR does not answer",
  );
  return real ? [] : [`--import-map=${STAND_INS}`];
}
