/**
 * A mirror of a node under a guest that writes, killed at any moment: no write that was
 * acknowledged is lost, and the mirror ends with equal bytes.
 *
 * The guest tells each write before and after it. What was told as done is in the model; the one
 * that was on its way is done, not done, or done in part.
 */
import { deepStrictEqual as assertEquals, ok as assert } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { openJoblog } from "../../../mod.ts";
import { type ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { spawnRuntime } from "../../support/spawn_runtime.ts";
import { bytesOf } from "../../engine/block/qcow2/qemu.ts";
import {
  expectSound,
  expectWhole,
  type JobEnd,
  type KillCase,
  killInTime,
  type KillOutcome,
  LONG_MS,
} from "./kill_case.ts";

const SCRIPT = fileURLToPath(new URL("./mirror_process.ts", import.meta.url));
const SIZE = 6 * 2 ** 20;

/** How a mirror copies beside the guest. */
export type CopyMode = "background" | "write-blocking";

/** See the head of this file. */
export class MirrorKills implements KillCase {
  readonly #folder: ImageFolder;
  readonly #seed: number;
  readonly #copyMode: CopyMode;
  readonly #model: Uint8Array;
  #round = 0;

  constructor(folder: ImageFolder, seed: number, copyMode: CopyMode) {
    this.#folder = folder;
    this.#seed = seed;
    this.#copyMode = copyMode;
    this.#model = noise(SIZE, seed).fill(0, 2 ** 20, 2 * 2 ** 20);
  }

  async prepare(): Promise<void> {
    this.#folder.write("a.raw", this.#model);
    await (await createQcow2(this.#folder.file("c.qcow2"), { size: SIZE })).close();
  }

  async kill(random: (below: number) => number): Promise<KillOutcome> {
    // Some are killed while they open the log, the others under their guest.
    const isTimed = random(4) === 0;
    const seed = this.#seed + this.#round++;
    const script = spawnRuntime(SCRIPT, [this.#folder.path, String(seed), this.#copyMode]);
    let will: string | undefined;
    let isAtWork = false;
    const ended = await killInTime(script, {
      afterMs: isTimed ? random(1_200) : LONG_MS,
      afterCount: isTimed ? Infinity : 3 + random(60),
      onLine: (line) => {
        if (line.startsWith("will")) will = line;
        isAtWork ||= line === "did";
        if (line !== "did") return false;
        this.#take(will!, true);
        will = undefined;
        return true;
      },
    });
    assertEquals(ended, "SIGKILL", "the process ended by itself");
    if (will !== undefined) this.#take(will, false);
    const isTold = sameBytes(this.#folder.read("a.raw"), this.#model);
    assert(isTold, "the source is not what its guest was told");
    expectSound(this.#folder.file("c.qcow2"));
    return isAtWork ? "at work" : "early";
  }

  async settle(): Promise<JobEnd> {
    const { path } = this.#folder;
    const joblog = await openJoblog({ path: this.#folder.file("jobs.log"), baseFolder: path });
    try {
      const job = joblog.job("m");
      // Every process was killed before it had a job.
      if (job === undefined) return "lost";
      await job.setSpeed(0);
      await job.until(({ status }) => status === "ready");
      await job.complete();
      const end = await job.done;
      assertEquals([end.ret, end.error], [0, null]);
      await expectWhole(joblog);
    } finally {
      await joblog.close({ jobs: "cancel" });
    }
    const mirrored = await openQcow2(this.#folder.file("c.qcow2"), { readOnly: true });
    assert(sameBytes(await bytesOf(mirrored), this.#model), "the mirror is not the model");
    await mirrored.close();
    expectSound(this.#folder.file("c.qcow2"));
    return "done";
  }

  #take(will: string, isDone: boolean): void {
    const [offset, length, of] = will.split(" ").slice(1).map(Number) as [number, number, number];
    const bytes = isDone
      ? noise(length, of)
      : this.#folder.read("a.raw").subarray(offset, offset + length);
    this.#model.set(bytes, offset);
  }
}
