/**
 * The dirty bitmap of a backup: what it says is to be copied, and what it becomes.
 *
 * ```text
 *              success                      failure, cancel
 * on-success   what was written since       all that it held, and what was written since
 * always       what was written since       what was written since, and what was not copied
 * never        all that it held, and what was written since
 * ```
 *
 * - "Since" is the moment that is copied: the bitmap is frozen while the filter comes in.
 * - A job that never ran leaves it as it was.
 * - Bits in memory end with their process. A job that goes on without them copies what its
 *   checkpoint says; its bitmap stays inconsistent, and the job says so in a step. Where an image
 *   kept them, writes of before and after the stop cannot be told apart any more from what the
 *   bitmap held: it keeps everything then, whatever the mode.
 *
 * Used by `opening.ts` and `work.ts`. Source: QEMU 7.2 block/backup.c backup_cleanup_sync_bitmap,
 * backup_init_bcs_bitmap; blockdev.c do_backup_common.
 *
 * Differs from QEMU: a job that is undone before it ran leaves its bitmap as it was, also with
 * `always`, where QEMU sets all of it.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import { checkBitmap } from "../../block/dirty_bitmap.ts";
import type { DirtyMap } from "../../block/dirty_map.ts";
import { BlockError } from "../../block/errors.ts";
import type { DriverContext, DriverJob } from "../driver.ts";
import { refuseParameter } from "../images/parameters.ts";
import type { JobBitmap, JobNodes } from "../nodes.ts";
import type { BackupParameters, BitmapMode, SyncParameters } from "./parameters.ts";

/** Kind of the step that says that a job went on without its bitmap. */
const LOST_STEP = "bitmap-lost";

/** See the head of this file. */
export class SyncBitmap {
  readonly #node: string;
  readonly #name: string;
  readonly #mode: BitmapMode;
  readonly #taken: JobBitmap | undefined;
  #keepsAll = false;

  /** @param taken undefined = its bits are lost */
  constructor(node: string, name: string, mode: BitmapMode, taken: JobBitmap | undefined) {
    this.#node = node;
    this.#name = name;
    this.#mode = mode;
    this.#taken = taken;
  }

  /**
   * The job begins, or goes on.
   *
   * @param isNeeded true if the bitmap says what is to be copied
   * @throws {BlockError} EIO when it should say that and is lost
   */
  begin(context: DriverContext, isNeeded: boolean): void {
    const isResumed = context.resumeFrom !== undefined;
    this.#keepsAll = isResumed;
    if (this.#taken !== undefined) return;
    if (isNeeded && !isResumed) {
      const text = `Cannot back up "${this.#node}" by bitmap "${this.#name}": its bits went with ` +
        "the process that had them";
      const hint = "Remove the bitmap, add a new one together with a full backup, and go on there.";
      throw new BlockError("EIO", text, { operation: "read", subject: this.#name, hint });
    }
    const detail = { node: this.#node, bitmap: this.#name };
    void context.step({ kind: LOST_STEP, offset: 0, length: 0, work: 0, detail });
  }

  /** Notes writes apart from this moment on. Nothing may be in flight above the node. */
  freeze(): void {
    this.#taken?.freeze();
  }

  /** Marks what it holds. */
  markIn(pending: DirtyMap): void {
    for (const { offset, length } of this.#taken?.bits.areas() ?? []) pending.mark(offset, length);
  }

  /**
   * The job is over.
   *
   * @param isGood true if it and its transaction ended well
   * @param left what was not copied; undefined = the job never ran
   */
  async end(isGood: boolean, left?: DirtyMap): Promise<void> {
    const isAlways = this.#mode === "always";
    const isSynced = !this.#keepsAll && (isGood || isAlways) && this.#mode !== "never";
    const becomes = !isSynced ? "everything" : isGood ? "written" : "uncopied";
    await this.#taken?.release(becomes, isAlways && !isGood ? left?.areas() : undefined);
  }
}

function unusable(name: string, text: string, hint: string): never {
  throw new JoblogError("bitmapUnusable", text, { subject: name, hint });
}

function checkUsable(nodes: JobNodes, node: string, name: string, mode?: BitmapMode): void {
  const bitmap = nodes.bitmap(node, name);
  const isLost = nodes.find(node).bitmaps.some((each) => each.name === name && each.isLost);
  if (bitmap === undefined || isLost) {
    const hint = "Its bits were lost: remove it, and begin with a new one and a full backup.";
    unusable(name, `Bitmap '${name}' is inconsistent and cannot be used`, hint);
  }
  try {
    checkBitmap(bitmap, { isChange: mode !== undefined && mode !== "never" });
  } catch (error) {
    const { message, hint } = error as BlockError;
    unusable(name, message, hint);
  }
}

function isThere(nodes: JobNodes, node: string, name: string): boolean {
  if (nodes.bitmap(node, name) !== undefined) return true;
  return nodes.find(node).bitmaps.some((each) => each.name === name);
}

/**
 * Checks what the parameters say of bitmaps against the node.
 *
 * Checks, in this order: that the bitmap is there; that a mode is given; that it is not busy or
 * inconsistent; `sync` none; mode never with anything but `sync` bitmap.
 *
 * @throws {JoblogError} code "invalidParameter" or "bitmapUnusable", in QEMU's words
 */
export function checkBitmapArguments(
  nodes: JobNodes | undefined,
  node: string,
  { bitmap: name, sync, "bitmap-mode": mode }: SyncParameters,
): void {
  if (name === undefined) return;
  if (nodes === undefined || !isThere(nodes, node, name)) {
    const hint = "Name a bitmap that the source has; names are exact.";
    refuseParameter("bitmap", `Bitmap '${name}' could not be found`, name, hint);
  }
  if (mode === undefined) {
    const text = "Bitmap sync mode must be given when providing a bitmap";
    const hint = 'Give "bitmap-mode" as on-success, always or never.';
    refuseParameter("bitmap-mode", text, undefined, hint);
  }
  checkUsable(nodes, node, name);
  if (sync === "none") {
    const text = `sync mode '${sync}' does not produce meaningful bitmap outputs`;
    refuseParameter("sync", text, sync);
  }
  if (mode === "never" && sync !== "bitmap") {
    const text = `Bitmap sync mode '${mode}' has no meaningful effect when combined with sync ` +
      `mode '${sync}'`;
    const hint = 'Give "bitmap-mode" as on-success or always, or "sync" as bitmap.';
    refuseParameter("bitmap-mode", text, mode, hint);
  }
}

/**
 * Takes the bitmap of a job whose arguments were checked, or whose process is another one by now.
 *
 * @param isRecovery true: a bitmap that cannot be used is one that was lost
 * @returns undefined = the job has none
 * @throws {JoblogError} code "bitmapUnusable"
 */
export function takeSyncBitmap(
  nodes: JobNodes,
  node: string,
  { bitmap: name, "bitmap-mode": mode }: BackupParameters,
  isRecovery: boolean,
): SyncBitmap | undefined {
  if (name === undefined || mode === undefined) return undefined;
  try {
    checkUsable(nodes, node, name, mode);
    return new SyncBitmap(node, name, mode, nodes.takeBitmap(node, name));
  } catch (error) {
    if (!isRecovery) throw error;
    return new SyncBitmap(node, name, mode, undefined);
  }
}

/** A job with the callbacks that decide what its bitmap becomes. */
export function withBitmap<J extends DriverJob & { readonly left: DirtyMap | undefined }>(
  job: J,
  bitmap: SyncBitmap | undefined,
): DriverJob {
  if (bitmap === undefined) return job;
  return Object.assign(job, {
    commit: () => bitmap.end(true),
    abort: () => bitmap.end(false, job.left),
  });
}
