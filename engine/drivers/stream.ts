import { defineDriver, type Driver, type OpenContext } from "./driver.ts";
import { openStreamFiles } from "./stream/files.ts";
import type { StreamImages } from "./stream/images.ts";
import { StreamJob } from "./stream/job.ts";
import { openStreamNodes } from "./stream/node_images.ts";
import { checkOneBase, type StreamParameters, streamParameters } from "./stream/parameters.ts";

export type { StreamImages } from "./stream/images.ts";
export type { StreamParameters } from "./stream/parameters.ts";

/**
 * Makes a stream driver over other chains than those of files.
 *
 * @param open how the chain is opened
 */
export function streamDriver(
  open: (parameters: StreamParameters, context: OpenContext) => Promise<StreamImages>,
): Driver<StreamParameters> {
  return defineDriver({
    type: "stream",
    summary: "copies what lies below a disk image into it, and shortens its backing chain",
    isResumable: true,
    precheck: checkOneBase,
    parameters: streamParameters,
    async open(parameters, context) {
      return new StreamJob(parameters, await open(parameters, context));
    },
  });
}

/**
 * The stream job: fills a qcow2 image with what lies between it and a base, or with all that lies
 * below it, and then names the base, or nothing, as its backing file.
 *
 * Steps are `copied`, `zeroed`, `hole` (zeros that need no work, since nothing stays below) and
 * `skipped` (what the image holds, what the base shows, and what an ignored error left out).
 *
 * Source: QEMU 7.2 block/stream.c, blockdev.c qmp_block_stream.
 *
 * Differs from QEMU: the header is rewritten before the chain is changed, so that a failure leaves
 * the old one; up to four pieces are copied side by side; zeros are made by table entries; a job
 * can outlive its process, and then looks at what the image holds from its last checkpoint on.
 */
export const stream: Driver<StreamParameters> = streamDriver(async (parameters, context) =>
  await openStreamNodes(parameters, context) ?? await openStreamFiles(parameters, context)
);
