import { defineDriver, type Driver, type OpenContext } from "./driver.ts";
import { openMirrorFiles } from "./mirror/files.ts";
import type { MirrorImages } from "./mirror/images.ts";
import { MirrorJob } from "./mirror/job.ts";
import { openMirrorNodes, precheckMirror } from "./mirror/node_images.ts";
import { changedMirror, type MirrorParameters, mirrorParameters } from "./mirror/parameters.ts";

export type { MirrorImages, MirrorSource, MirrorTarget } from "./mirror/images.ts";
export type { MirrorCopyMode, MirrorParameters, MirrorSync } from "./mirror/parameters.ts";

/**
 * Makes a mirror driver over other images than files.
 *
 * @param open how source and target are opened
 */
export function mirrorDriver(
  open: (parameters: MirrorParameters, context: OpenContext) => Promise<MirrorImages>,
): Driver<MirrorParameters> {
  return defineDriver({
    type: "mirror",
    summary: "copies a disk image to another and keeps both equal until it is told to end",
    isResumable: true,
    precheck: precheckMirror,
    parameters: mirrorParameters,
    change: changedMirror,
    async open(parameters, context) {
      return new MirrorJob(parameters, await open(parameters, context));
    },
  });
}

/**
 * The mirror job: a source in any format to a target in any format, both nodes of the graph by name
 * or both files by path.
 *
 * It copies what `sync` asks for, becomes ready, and then copies whatever is written to the source,
 * until `complete` puts the target in the source's place, or a soft cancel leaves the target as the
 * image of that moment. Steps are `copied`, `zeroed`, `hole` (zeros where the target had zeros) and
 * `written` (writes to the source that the mode write-blocking brought to the target at once).
 *
 * Source: QEMU 7.2 block/mirror.c, blockdev.c qmp_drive_mirror, blockdev_mirror_common.
 *
 * Differs from QEMU: without `mode` an existing target that is not empty is refused, since nobody
 * can get it back; the target is made when the job runs and not when it is created; the limit is
 * paid in full, also after a pause (QEMU 10.2 does so, too); a policy `ignore` whose error stays
 * waits 100 ms before each new try instead of spinning; what was written before a failed flush is
 * copied again.
 */
export const mirror: Driver<MirrorParameters> = mirrorDriver(async (parameters, context) =>
  await openMirrorNodes(parameters, context) ?? await openMirrorFiles(parameters, context)
);
