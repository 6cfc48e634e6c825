import { BackupJob } from "./backup/job.ts";
import { openImages, precheckBackup } from "./backup/opening.ts";
import { type BackupParameters, backupParameters } from "./backup/parameters.ts";
import { withBitmap } from "./backup/sync_bitmap.ts";
import { defineDriver, type Driver } from "./driver.ts";
import type { OpenImageFile } from "./images/files.ts";

export type {
  BackupParameters,
  BackupSync,
  BitmapMode,
  CbwErrorPolicy,
} from "./backup/parameters.ts";

/**
 * Makes a backup driver over other files than those of the system.
 *
 * @param openFile how a file of an image is opened
 */
export function backupDriver(openFile?: OpenImageFile): Driver<BackupParameters> {
  return defineDriver({
    type: "backup",
    summary: "copies a disk image to another, as it was when the job started",
    isResumable: true,
    precheck: precheckBackup,
    parameters: backupParameters,
    async open(parameters, context) {
      const images = await openImages(parameters, context, openFile);
      const { sync = parameters.sync, bitmap } = images;
      return withBitmap(new BackupJob({ ...parameters, sync }, images), bitmap);
    },
  });
}

/**
 * The backup job: any image to any image, raw or qcow2 with its backing chain; all of it, its top
 * layer, what is overwritten in it, or what a dirty bitmap says.
 *
 * Work and progress are counted in clusters: 64 KiB, or the target's if they are larger. Ranges
 * that hold data are `copied`; ranges of zeros stay holes in a target that the job made (`hole`)
 * and are zeroed in one that was there (`zeroed`); what `sync=top` leaves out is `skipped`. A
 * target is left as it is when the job fails or is cancelled, as QEMU leaves it: what was copied
 * may be worth something, and the next backup says that the file is not empty.
 *
 * Source: QEMU 7.2 block/backup.c, block/block-copy.c, blockdev.c do_backup_common,
 * qmp_drive_backup.
 *
 * Differs from QEMU: without `mode` an existing target that is not empty is refused, since nobody
 * can get it back; `absolute-paths` empties it when the job runs and not when it is created, and
 * that is also the moment that is copied; `max-workers` is 4 unless given; a policy `ignore` whose
 * error stays waits 100 ms before each new pass instead of spinning; a failed flush of the target
 * counts as a write error, and what was written since the flush before is copied again.
 */
export const backup: Driver<BackupParameters> = backupDriver();
