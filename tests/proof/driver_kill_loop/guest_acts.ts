/** What a process under test does as a guest, and tells of it. */
import process from "node:process";
import type { Edge } from "../../../engine/block/edge.ts";
import { guestBytes } from "./guest_model.ts";

/** Prints a line; resolves when it was taken: who is killed afterwards has told it. */
export function print(line: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
}

/**
 * Writes or zeroes somewhere: prints `will <offset> <length> <seed>` before, seed 0 = zeros, and
 * `did` when it was acknowledged.
 *
 * @param next a number below its argument
 */
export async function writeAnywhere(guest: Edge, next: (below: number) => number): Promise<void> {
  const length = 1 + next(20_000);
  const offset = next(guest.size - length);
  const seed = next(8) === 0 ? 0 : 1 + next(1_000_000);
  await print(`will ${offset} ${length} ${seed}`);
  if (seed === 0) await guest.zero(offset, length);
  else await guest.write(offset, guestBytes(length, seed));
  await print("did");
}

/** Flushes, and prints `flushed`. */
export async function flushAll(guest: Edge): Promise<void> {
  await guest.flush();
  await print("flushed");
}
