/** A backup of an image at rest, killed at any moment: it goes on and ends with equal bytes. */
import { deepStrictEqual as assertEquals, ok as assert } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { openJoblog } from "../../../mod.ts";
import { type ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { spawnRuntime } from "../../support/spawn_runtime.ts";
import { bytesOf } from "../../engine/block/qcow2/qemu.ts";
import { numbersFrom } from "../../engine/block/qcow2/seeded.ts";
import { unlessTooLate } from "./too_late.ts";
import {
  expectSound,
  expectWhole,
  type JobEnd,
  type KillCase,
  killInTime,
  type KillOutcome,
} from "./kill_case.ts";

const SCRIPT = fileURLToPath(new URL("./backup_process.ts", import.meta.url));
const SIZE = 6 * 2 ** 20 + 512;
/** So slow that most processes are killed while they copy. */
const SPEED = 6 * 2 ** 20;

/** What is backed up to what. */
export type BackupShape =
  | "raw to raw"
  | "raw to qcow2"
  | "raw to packed qcow2"
  | "top of a chain to qcow2";

/** See the head of this file. */
export class BackupKills implements KillCase {
  readonly #folder: ImageFolder;
  readonly #seed: number;
  readonly #shape: BackupShape;
  #model: Uint8Array = new Uint8Array(0);

  constructor(folder: ImageFolder, seed: number, shape: BackupShape) {
    this.#folder = folder;
    this.#seed = seed;
    this.#shape = shape;
  }

  get #target(): string {
    return this.#folder.file(this.#shape === "raw to raw" ? "copy.raw" : "copy.qcow2");
  }

  get #parameters() {
    if (this.#shape === "raw to raw") return { source: "a.raw", target: "copy.raw", sync: "full" };
    const into = { target: "copy.qcow2", format: "qcow2" };
    if (this.#shape === "raw to qcow2") return { source: "a.raw", ...into, sync: "full" };
    if (this.#shape === "raw to packed qcow2") {
      return { source: "a.raw", ...into, sync: "full", compress: true };
    }
    return { source: "top.qcow2", ...into, sync: "top" };
  }

  async prepare(): Promise<void> {
    this.#model = noise(SIZE, this.#seed).fill(0, 2 ** 20, 2 * 2 ** 20);
    if (this.#shape === "raw to packed qcow2") {
      const next = numbersFrom(this.#seed);
      // Every other stretch does not pack, and gets clusters of its own.
      for (let at = 3 * 2 ** 20; at < SIZE; at++) {
        if ((at >> 18) % 2 === 0) this.#model[at] = next(256);
      }
    }
    this.#folder.write("a.raw", this.#model);
    if (this.#shape !== "top of a chain to qcow2") return;
    const below = { backingFile: "a.raw", backingFormat: "raw" } as const;
    const mid = await createQcow2(this.#folder.file("mid.qcow2"), { size: SIZE, ...below });
    const next = numbersFrom(this.#seed);
    await this.#write(mid, next);
    await mid.close();
    const above = { backingFile: "mid.qcow2", backingFormat: "qcow2" } as const;
    const top = await createQcow2(this.#folder.file("top.qcow2"), { size: SIZE, ...above });
    await this.#write(top, next);
    await top.close();
  }

  /** Data and zeros here and there. */
  async #write(node: BlockNode, next: (below: number) => number): Promise<void> {
    for (let count = 0; count < 40; count++) {
      const length = 1 + next(300_000);
      const offset = next(SIZE - length);
      const bytes = next(4) === 0 ? new Uint8Array(length) : noise(length, next(1_000_000));
      await node.write(offset, bytes);
      this.#model.set(bytes, offset);
    }
  }

  async kill(random: (below: number) => number): Promise<KillOutcome> {
    const args = [this.#folder.path, JSON.stringify(this.#parameters), String(SPEED)];
    const script = spawnRuntime(SCRIPT, args);
    const isEarly = random(4) === 0;
    let isOver = false;
    let isAtWork = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ended = await killInTime(script, {
      afterMs: isEarly ? random(1_200) : 60_000,
      afterCount: Infinity,
      onLine: (line) => {
        isOver ||= line === "over";
        isAtWork ||= line === "copying";
        // The others are killed a while after their job began or went on.
        if (line === "open") timer = setTimeout(() => void script.kill(), random(500));
        return false;
      },
    });
    clearTimeout(timer);
    assert(isOver || ended === "SIGKILL", `the process ended by itself with ${ended}`);
    if (this.#target.endsWith(".qcow2")) this.#expectImage();
    if (ended !== "SIGKILL") return "over";
    return isAtWork ? "at work" : "early";
  }

  /** Its header is written last: until then the file is no image yet. */
  #expectImage(): void {
    if ((this.#folder.sizeOf("copy.qcow2") ?? 0) === 0) return;
    const begins = this.#folder.read("copy.qcow2").subarray(0, 4);
    if (begins.some((byte) => byte !== 0)) expectSound(this.#folder.file("copy.qcow2"));
  }

  async settle(): Promise<JobEnd> {
    const { path } = this.#folder;
    const joblog = await openJoblog({ path: this.#folder.file("jobs.log"), baseFolder: path });
    try {
      const job = joblog.job("b");
      // Every process was killed before it had a job.
      if (job === undefined) return "lost";
      if (job.state.isUserPaused) await unlessTooLate(job.resume());
      if (job.state.status !== "concluded") await job.setSpeed(0);
      const end = await job.done;
      assertEquals([end.ret, end.error], [0, null]);
      await expectWhole(joblog);
    } finally {
      await joblog.close({ jobs: "cancel" });
    }
    assert(sameBytes(await this.#copied(), this.#model), "the copy is not the model");
    if (this.#target.endsWith(".qcow2")) expectSound(this.#target);
    return "done";
  }

  async #copied(): Promise<Uint8Array> {
    if (this.#shape === "raw to raw") return this.#folder.read("copy.raw");
    const copy = await openQcow2(this.#target, { readOnly: true });
    try {
      return await bytesOf(copy);
    } finally {
      await copy.close();
    }
  }
}
