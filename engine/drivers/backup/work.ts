/**
 * What one run of a backup works with, and how its work begins: the filter comes in over the
 * source, and that is the moment that is copied.
 *
 * Used by `job.ts`. Source: QEMU 7.2 block/backup.c backup_job_create, backup_init_bcs_bitmap.
 */

import { BlockCopy } from "../../block/block_copy.ts";
import { DirtyMap } from "../../block/dirty_map.ts";
import type { BlockNode } from "../../block/node.ts";
import type { DriverContext } from "../driver.ts";
import { Checkpoints } from "./checkpoints.ts";
import { writtenNode } from "./compressing.ts";
import { ZeroReach } from "./chunks.ts";
import { GuestFilter } from "./guests.ts";
import { type BackupImages, stampOf } from "./opening.ts";
import { type BackupParameters, clusterOf } from "./parameters.ts";
import type { Preparation } from "./preparation.ts";
import { type CopyPlan, CopyTasks } from "./tasks.ts";

/** What one run works with. */
export interface Work {
  /** The context of the job. */
  readonly context: DriverContext;
  /** What is copied where, and what is left. */
  readonly plan: CopyPlan;
  /** The tasks in flight. */
  readonly tasks: CopyTasks;
  /** Flushes and checkpoints. */
  readonly checkpoints: Checkpoints;
  /** How far zeros have reached lately. */
  readonly reach: ZeroReach;
  /** Those who write beside the job; undefined = nobody can. */
  readonly guests: GuestFilter | undefined;
}

/** What work is made of. */
export interface WorkParts {
  /** The context of the job. */
  readonly context: DriverContext;
  /** Both images. */
  readonly images: BackupImages;
  /** The job's parameters. */
  readonly parameters: BackupParameters;
  /** Where copying starts. */
  readonly start: Preparation;
  /** Told when the moment is lost, because the old bytes could not be copied. */
  readonly onBroken: (error: unknown) => void;
}

/** Puts the filter in and makes everything ready for the first pass. */
export async function beginWork(parts: WorkParts): Promise<Work> {
  const { context, images, parameters, start } = parts;
  const { source, target, bitmap } = images;
  const { size } = source.node;
  const cluster = clusterOf(parameters, target.clusterSize);
  const pending = new DirtyMap(size, cluster);
  for (const [offset, length] of start.todo) pending.mark(offset, length);
  if (start.layerFrom !== undefined) pending.mark(start.layerFrom, size - start.layerFrom);
  const state = { isTargetBlank: start.isTargetBlank };
  const late: { tasks?: CopyTasks } = {};
  const isWritten = context.resumeFrom !== undefined;
  const to = writtenNode(parameters, target, { cluster, isWritten });
  const makeCopy = (from: BlockNode) => {
    bitmap?.freeze();
    if (start.isByBitmap) bitmap?.markIn(pending);
    return new BlockCopy({
      source: from,
      target: to,
      cluster,
      pending,
      get isTargetZero() {
        return state.isTargetBlank;
      },
      onGuestCopy: (task, pieces) => late.tasks?.noteGuestCopy(task, pieces),
    });
  };
  const { copy, guests } = await insertFilter(parts, makeCopy);
  const zeroKind = parameters.mode === "existing" ? "zeroed" : "hole";
  const unflushed = new DirtyMap(size, cluster);
  const plan: CopyPlan = Object.assign(state, { copy, unflushed, zeroKind } as const);
  const tasks = late.tasks = new CopyTasks(plan, context);
  context.progress.setRemaining(pending.markedBytes + copy.inWorkBytes);
  const layer = start.layerFrom === undefined ? "none" : "unknown";
  const known = {
    plan,
    tasks,
    context,
    guests,
    stamp: start.stamp,
    stampNow: () => stampOf(images),
  };
  const checkpoints = new Checkpoints(known, layer, start.layerFrom ?? 0);
  const reach = new ZeroReach(state.isTargetBlank);
  return { context, plan, tasks, checkpoints, reach, guests };
}

/** Keeps those who write the source from changing what is copied, from now on. */
async function insertFilter(
  { images, parameters, context, onBroken }: WorkParts,
  makeCopy: (source: BlockNode) => BlockCopy,
): Promise<{ readonly copy: BlockCopy; readonly guests: GuestFilter | undefined }> {
  const { gate, source } = images;
  if (gate === undefined) return { copy: makeCopy(source.node), guests: undefined };
  const { filter, copy } = await GuestFilter.insert(gate, makeCopy, {
    onCbwError: parameters["on-cbw-error"] ?? "break-guest-write",
    onBroken,
    record: async () => await context.sourceWritten?.(),
  });
  return { copy, guests: filter };
}
