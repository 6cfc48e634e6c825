/** One job that is killed again and again, with its images and its log. */
import { deepStrictEqual as assertEquals } from "node:assert/strict";
import { verify } from "../../../events/replay/verify.ts";
import type { Joblog } from "../../../mod.ts";
import type { SpawnedScript } from "../../support/spawn_runtime.ts";
import { checkByQemu, HAS_QEMU } from "../../engine/block/qcow2/qemu.ts";

/** Milliseconds that no process needs, not even on a very busy machine: who needs more hangs. */
export const LONG_MS = 300_000;

/**
 * What a kill met: nothing to speak of yet, a job at work, its last steps (between the beginning of
 * its finalization and its conclusion), or a job that was over before.
 */
export type KillOutcome = "early" | "at work" | "closing" | "over";

/** How a job ended: well, or as the documents say that a kill may end it. */
export type JobEnd = "done" | "lost";

/** See the head of this file. Whatever is found is thrown. */
export interface KillCase {
  /** Makes the images. */
  prepare(): Promise<void>;
  /** Lets a process go on with the job and kills it. */
  kill(random: (below: number) => number): Promise<KillOutcome>;
  /** Lets the job end and compares bytes. */
  settle(): Promise<JobEnd>;
}

/** What is seen of a process until it is gone. */
export interface KillPlan {
  /** Kills it after so many milliseconds. */
  readonly afterMs: number;
  /** Kills it after so many calls that `onLine` answers with true. */
  readonly afterCount: number;
  /** Takes a line that it printed. */
  readonly onLine: (line: string) => boolean;
}

/**
 * Kills a process when it is time.
 *
 * @returns how it ended: "SIGKILL", or the exit status of one that was quicker
 */
export async function killInTime(
  script: SpawnedScript,
  { afterMs, afterCount, onLine }: KillPlan,
): Promise<number | string> {
  const timer = setTimeout(() => void script.kill(), afterMs);
  try {
    let count = 0;
    for (let line = await script.line(); line !== undefined; line = await script.line()) {
      if (onLine(line) && ++count === afterCount) void script.kill();
    }
    return await script.ended;
  } finally {
    clearTimeout(timer);
  }
}

/** Asks QEMU, where it is, whether an image is still one: it may leak, no more. */
export function expectSound(path: string): void {
  if (HAS_QEMU) assertEquals(checkByQemu(path).corruptions, 0, path);
}

/** The log is whole. */
export async function expectWhole(joblog: Joblog): Promise<void> {
  assertEquals((await verify(joblog.reader)).faults, []);
}
