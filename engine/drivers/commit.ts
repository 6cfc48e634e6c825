import { mirrorOf } from "./commit/active.ts";
import { openCommitFiles, type OpenedCommit } from "./commit/files.ts";
import { CommitJob } from "./commit/job.ts";
import { openCommitNodes, precheckCommit } from "./commit/node_images.ts";
import { type CommitParameters, commitParameters } from "./commit/parameters.ts";
import { defineDriver, type Driver, type OpenContext } from "./driver.ts";
import { MirrorJob } from "./mirror/job.ts";

export type { OpenedCommit } from "./commit/files.ts";
export type { CommitImages, CommitOverlay } from "./commit/images.ts";
export type { CommitParameters } from "./commit/parameters.ts";

/**
 * Makes a commit driver over other chains than those of files.
 *
 * @param open how the chain is opened
 */
export function commitDriver(
  open: (parameters: CommitParameters, context: OpenContext) => Promise<OpenedCommit>,
): Driver<CommitParameters> {
  return defineDriver({
    type: "commit",
    summary: "copies what layers of a chain hold into a layer below, and takes them out",
    isResumable: true,
    precheck: precheckCommit,
    parameters: commitParameters,
    async open(parameters, context) {
      const opened = await open(parameters, context);
      return opened.isActive
        ? new MirrorJob(mirrorOf(parameters, opened.base), opened.images)
        : new CommitJob(parameters, opened.images);
    },
  });
}

/**
 * The commit job: what the layers from top down to the base hold is written into the base.
 *
 * Inner layers: then every overlay of the top names the base in its header, and the layers are
 * left out. The layer that guests write (active): a mirror into the base, which becomes ready;
 * `complete` leads the guests to the base, and a soft cancel leaves both equal.
 *
 * Steps are `copied`, `zeroed` and `skipped` (what the base shows anyway); those of an active
 * commit are a mirror's.
 *
 * Source: QEMU 7.2 block/commit.c, block/mirror.c commit_active_start, blockdev.c
 * qmp_block_commit.
 *
 * Differs from QEMU: headers are rewritten before the chain is changed, so that a failure leaves
 * what shows the same; zeros are made zero in the base (QEMU 10.2 does so, too); an ignored error
 * is tried again after 100 ms instead of at once; up to four pieces are copied side by side; a
 * job can outlive its process.
 */
export const commit: Driver<CommitParameters> = commitDriver(async (parameters, context) =>
  await openCommitNodes(parameters, context) ?? await openCommitFiles(parameters, context)
);
