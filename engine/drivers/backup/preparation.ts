/**
 * What a backup does before its first pass: gives the target its size, or finds out where the last
 * process left off.
 *
 * Source: QEMU 7.2 block/backup.c backup_run; DESIGN.md, The job machine, Recovery.
 */

import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import type { DriverContext } from "../driver.ts";
import type { BackupImages } from "./images.ts";
import type { BackupParameters } from "./parameters.ts";
import { readResumePoint, type ResumePoint } from "./resume_point.ts";

/** Where copying starts. */
export interface Preparation {
  /** What is to be copied: `[offset, length]` in order. */
  readonly todo: readonly (readonly [number, number])[];
  /** True if the target has not been written by anybody: all of it is one hole. */
  readonly isTargetBlank: boolean;
  /** The source's stamp when the job began; undefined if it has none. */
  readonly stamp: string | undefined;
}

const RESIZED_HINT = "Leave both images alone while a job uses them, and start a new backup.";

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

async function checkResume(images: BackupImages, point: ResumePoint): Promise<void> {
  const { source, target } = images;
  const details = { operation: "open", subject: source.name, hint: RESIZED_HINT } as const;
  const action = `Cannot go on with the backup of "${source.name}"`;
  if (point.size !== source.size) {
    const sizes = `it had ${point.size} bytes when the job began and has ${source.size} now`;
    throw new BlockError("EIO", `${action}: ${sizes}`, details);
  }
  if (target.isCreated || target.node.size !== source.size) {
    const found = target.isCreated ? "does not exist any more" : `has ${target.node.size} bytes`;
    const text = `${action}: its half-written target "${target.node.name}" ${found}`;
    await target.removeCreated();
    throw new BlockError("EIO", text, details);
  }
  if (point.stamp === undefined || point.stamp === await source.stamp()) return;
  throw new BlockError("EIO", `${action}: the source was written after the job began`, {
    ...details,
    hint: "A backup is the image of one moment; start a new one.",
  });
}

/** Empties a target that is to be made anew, as an act that is announced and confirmed. */
async function emptyTarget(images: BackupImages, context: DriverContext): Promise<void> {
  const { source, target } = images;
  const act = {
    kind: "truncate",
    subject: target.node.name,
    before: { size: target.node.size },
    after: { size: source.size },
  };
  await context.act(act, async () => {
    await target.node.truncate(0);
    await target.node.truncate(source.size);
  });
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
  const stamp = await source.stamp();
  if (context.resumeFrom !== undefined) {
    const point = readResumePoint(context.resumeFrom);
    if (point === undefined) throw new Error("Cannot read the checkpoint of this backup");
    await checkResume(images, point);
    return { todo: point.todo, isTargetBlank: false, stamp: point.stamp };
  }
  const todo: readonly (readonly [number, number])[] = source.size === 0 ? [] : [[0, source.size]];
  if (target.node.size === 0 && target.isResizable) {
    if (source.size > 0) await target.node.truncate(source.size);
    return { todo, isTargetBlank: true, stamp };
  }
  if (parameters.mode === "absolute-paths" && target.isResizable) {
    await emptyTarget(images, context);
    return { todo, isTargetBlank: true, stamp };
  }
  return { todo, isTargetBlank: false, stamp };
}
