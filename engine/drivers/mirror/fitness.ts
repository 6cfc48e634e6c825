/** Whether the images are fit for each other, and for what an earlier process has left. */

import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import type { JsonValue } from "../driver.ts";
import { type MirrorResumePoint, readMirrorResumePoint } from "./resume_point.ts";

/** Unit in which sizes of images are compared: one may be a raw file cut anywhere. */
const SECTOR = 512;

/**
 * Refuses a target of another size. The job starts, and then fails.
 *
 * @throws {BlockError} EINVAL. Source: QEMU 7.2 block/mirror.c mirror_run
 */
export function checkSizes(source: BlockNode, target: BlockNode): void {
  const sectors = (node: BlockNode) => Math.ceil(node.size / SECTOR);
  if (sectors(source) === sectors(target) && target.size >= source.size) return;
  throw new BlockError("EINVAL", "Source and target image have different sizes", {
    operation: "open",
    subject: target.name,
    hint: "Give the target the size of the source, or let it be made.",
  });
}

/**
 * The checkpoint that a job goes on from; undefined if it begins.
 *
 * @throws {BlockError} EIO when the source has another size now
 */
export function resumePointFor(
  resumeFrom: JsonValue | undefined,
  source: BlockNode,
): MirrorResumePoint | undefined {
  if (resumeFrom === undefined) return undefined;
  const point = readMirrorResumePoint(resumeFrom);
  if (point === undefined) throw new Error("Cannot read the checkpoint of this mirror");
  if (point.size === source.size) return point;
  const sizes = `it had ${point.size} bytes when the job began and has ${source.size} now`;
  const action = `Cannot go on with the mirror of "${source.name}"`;
  throw new BlockError("EIO", `${action}: ${sizes}`, {
    operation: "open",
    subject: source.name,
    hint: "Leave both images alone while a job uses them, and start a new mirror.",
  });
}
