import { makeFile, makeQcow2 } from "./create/make.ts";
import { type CreateParameters, createParameters } from "./create/parameters.ts";
import { defineDriver, type Driver } from "./driver.ts";

export type { CreateParameters } from "./create/parameters.ts";

/**
 * The create job: makes a file, or a qcow2 image in a node, whatever is there. One step, `made`.
 *
 * What is wrong with the options is the job's error, and not a refusal. A stop of its process is
 * its end: the image is to be made anew.
 *
 * Source: QEMU 7.2 block/create.c; block/qcow2.c qcow2_co_create; block/file-posix.c raw_co_create.
 */
export const create: Driver<CreateParameters> = defineDriver({
  type: "create",
  summary: "makes an empty file, or a qcow2 image in a node",
  parameters: createParameters,
  open: ({ options }, place) => ({
    async run(context) {
      context.progress.setRemaining(1);
      try {
        if (options.driver === "file") await makeFile(options, context, place);
        else await makeQcow2(options, context, place);
      } finally {
        // Counted as done also when it failed, as in QEMU.
        await context.step({ kind: "made", offset: 0, length: 1 });
      }
    },
  }),
});
