import { FILE_OPENER, type ImageOpener, openImages } from "./backup/images.ts";
import { BackupJob } from "./backup/job.ts";
import { type BackupParameters, backupParameters } from "./backup/parameters.ts";
import { defineDriver, type Driver } from "./driver.ts";

export type { BackupMode, BackupParameters } from "./backup/parameters.ts";

/**
 * Makes a backup driver over other images than files.
 *
 * @param opener how source and target are opened
 */
export function backupDriver(opener: ImageOpener): Driver<BackupParameters> {
  return defineDriver({
    type: "backup",
    summary: "copies a disk image to another, as it was when the job started",
    isResumable: true,
    parameters: backupParameters,
    async open(parameters, context) {
      return new BackupJob(parameters, await openImages(parameters, context, opener));
    },
  });
}

/**
 * The backup job: sync=full, raw file or block device to raw file or block device.
 *
 * Work and progress are counted in clusters of 64 KiB. Ranges that hold data are `copied`; ranges
 * of zeros stay holes in a target that the job made (`hole`) and are zeroed in one that was there
 * (`zeroed`). A target is left as it is when the job fails or is cancelled, as QEMU leaves it:
 * what was copied may be worth something, and the next backup says that the file is not empty.
 *
 * Source: QEMU 7.2 block/backup.c, block/block-copy.c, blockdev.c do_backup_common.
 *
 * Differs from QEMU: without `mode` an existing target that is not empty is refused, since nobody
 * can get it back; `absolute-paths` empties it when the job runs and not when it is created;
 * `max-workers` is 4 unless given; a policy `ignore` whose error stays waits 100 ms before each
 * new pass instead of spinning; a failed flush of the target counts as a write error, and what was
 * written since the flush before is copied again.
 */
export const backup: Driver<BackupParameters> = backupDriver(FILE_OPENER);
