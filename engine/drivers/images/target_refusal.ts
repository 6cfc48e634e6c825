/** How the target of a job over nodes is refused. */

import { JoblogError } from "../../../events/log/errors.ts";
import { BlockError } from "../../block/errors.ts";
import { systemWords } from "../../block/system_words.ts";
import type { NewImageMode } from "./parameters.ts";

/**
 * The graph's words for a file that cannot be made, or that another job or node uses: both are told
 * before the job has its id. Any other error stays what it is.
 *
 * @param target as the user named it
 * Source: QEMU 7.2 blockdev.c qmp_drive_backup, qmp_drive_mirror; block.c bdrv_img_create
 */
export function targetRefusal(
  error: unknown,
  target: string,
  mode: NewImageMode | undefined,
): unknown {
  if (error instanceof JoblogError && error.code === "permissionConflict") {
    return new JoblogError("openFailed", error.message, { subject: target, cause: error });
  }
  const isOpening = error instanceof BlockError && error.operation === "open";
  if (!isOpening || mode !== "absolute-paths" || error.code === "EBUSY") return error;
  const text = `Could not create '${target}': ${systemWords(error)}`;
  return new JoblogError("openFailed", text, { subject: target, cause: error });
}
