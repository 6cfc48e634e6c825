/**
 * What a backup does before its first pass: makes the target, or finds out where the last process
 * left off.
 *
 * Source: QEMU 7.2 block/backup.c backup_run, blockdev.c qmp_drive_backup; DESIGN.md, The job
 * machine, Recovery.
 */

import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import type { DriverContext } from "../driver.ts";
import { backingOfNew } from "../images/pair.ts";
import { sizeInFormat, type TargetCreation } from "../images/target.ts";
import { type BackupImages, stampOf } from "./opening.ts";
import { type BackupParameters, isBitmapSync } from "./parameters.ts";
import { readResumePoint, type ResumePoint } from "./resume_point.ts";

/** Where copying starts. */
export interface Preparation {
  /** What is to be copied: `[offset, length]` in order. */
  readonly todo: readonly (readonly [number, number])[];
  /** From here on what the top layer holds is to be copied, too; undefined = no such thing. */
  readonly layerFrom: number | undefined;
  /** True if the bitmap says what is to be copied, at the moment at which it is frozen. */
  readonly isByBitmap: boolean;
  /** True if the target has not been written by anybody: all of it is one hole. */
  readonly isTargetBlank: boolean;
  /** The source's stamp when the job began; undefined if it has none, or others may write it. */
  readonly stamp: string | undefined;
}

const RESIZED_HINT = "Leave both images alone while a job uses them, and start a new backup.";
const MOMENT_HINT = "A backup is the image of one moment; start a new one.";

/**
 * Checks that an image still has the size that it was opened with.
 *
 * @throws {BlockError} EIO when others have changed it
 */
export async function checkSize(role: "source" | "target", node: BlockNode): Promise<void> {
  const now = await node.measure();
  if (now === node.size) return;
  const action = `Cannot go on with the ${role} "${node.name}"`;
  throw new BlockError(
    "EIO",
    `${action}: it had ${node.size} bytes when the job opened it and has ${now} now`,
    { operation: role === "source" ? "read" : "write", subject: node.name, hint: RESIZED_HINT },
  );
}

/** The error of a backup that cannot go on after a stop of its process. */
function lost(images: BackupImages, why: string, hint = MOMENT_HINT): BlockError {
  const { node } = images.source;
  return new BlockError("EIO", `Cannot go on with the backup of "${node.name}": ${why}`, {
    operation: "open",
    subject: node.name,
    hint,
  });
}

/** Opens the half-written target. */
async function reopenTarget(images: BackupImages): Promise<void> {
  const { source, target } = images;
  const name = `its half-written target "${target.path}"`;
  if (target.isCreated) {
    await target.removeCreated();
    throw lost(images, `${name} does not exist any more`, RESIZED_HINT);
  }
  if (!target.isOpen) {
    if (target.fileSize === 0) throw lost(images, `${name} has 0 bytes`, RESIZED_HINT);
    await target.use();
  }
  const { size } = target.node;
  if (size !== sizeInFormat(target.format, source.node.size)) {
    throw lost(images, `${name} has ${size} bytes`, RESIZED_HINT);
  }
}

async function checkResume(images: BackupImages, point: ResumePoint): Promise<void> {
  const { node } = images.source;
  if (point.size !== node.size) {
    const sizes = `it had ${point.size} bytes when the job began and has ${node.size} now`;
    throw lost(images, sizes, RESIZED_HINT);
  }
  await reopenTarget(images);
  if (point.isScattered === true) {
    throw lost(images, "what is left was in too many pieces to be on record");
  }
  // What writes through the gate is on record; all others can be found by the stamp alone.
  if (point.stamp === undefined || point.stamp === await stampOf(images)) return;
  const why = images.gate === undefined
    ? "the source was written after the job began"
    : "a file of the source was written by others after its last checkpoint";
  throw lost(images, why);
}

/** Makes the target, as an act that is announced and confirmed if there is something to lose. */
async function makeTarget(
  images: BackupImages,
  creation: TargetCreation,
  context: DriverContext,
): Promise<void> {
  const { target } = images;
  if (target.fileSize === 0) return void await target.make(creation);
  const { format } = target;
  const after = { size: creation.size, ...(format === "raw" ? {} : { format }) };
  const act = {
    kind: "truncate",
    subject: target.path,
    before: { size: target.fileSize },
    after,
  };
  await context.act(act, async () => void await target.make(creation));
}

/** A source that ends within a sector leaves a rest in a target that is counted in sectors. */
async function clearTail(images: BackupImages): Promise<void> {
  const { source, target } = images;
  const tail = target.node.size - source.node.size;
  if (tail > 0) await target.node.zero(source.node.size, tail);
}

/**
 * Makes the target ready for copying.
 *
 * @throws {BlockError} EIO when the job cannot go on from its last checkpoint: the target is gone,
 * or the source was changed since
 */
export async function prepareTarget(
  images: BackupImages,
  parameters: BackupParameters,
  context: DriverContext,
): Promise<Preparation> {
  const { source, target } = images;
  const { size } = source.node;
  const isByBitmap = isBitmapSync(parameters.sync);
  images.bitmap?.begin(context, isByBitmap);
  if (context.resumeFrom !== undefined) {
    const point = readResumePoint(context.resumeFrom);
    if (point === undefined) throw new Error("Cannot read the checkpoint of this backup");
    if (context.job.checkpoint?.writtenAt !== undefined) {
      throw lost(images, "its source was written after its last checkpoint");
    }
    await checkResume(images, point);
    const { todo, layerFrom, stamp } = point;
    return { todo, layerFrom, isByBitmap: false, isTargetBlank: false, stamp };
  }
  // Before the filter is in, a writer may change it still, and nothing is copied yet.
  const stamp = images.gate === undefined ? await stampOf(images) : undefined;
  const isByLayer = parameters.sync === "top" && source.topExtent !== undefined;
  const isWhole = !isByLayer && !isByBitmap && size > 0;
  const todo = isWhole ? [[0, size] as const] : [];
  const start = { todo, layerFrom: isByLayer ? 0 : undefined, isByBitmap, stamp };
  if (target.isOpen) {
    // Compressed clusters are whole, and a tail of zeros would be in their way.
    const hasTail = isWhole && parameters.sync !== "none" && parameters.compress !== true;
    if (hasTail) await clearTail(images);
    return { ...start, isTargetBlank: false };
  }
  const backing = backingOfNew(parameters.sync, source);
  await makeTarget(images, { size, backing }, context);
  return { ...start, isTargetBlank: backing === undefined };
}
