/** The three ways in which an image is turned down, each with its errno. */

import { BlockError, type BlockOperation } from "../errors.ts";

/** An image that breaks the format: EINVAL. Found while opening. */
export function malformed(name: string, what: string): BlockError {
  return new BlockError("EINVAL", `Cannot open "${name}" as qcow2: ${what}`, {
    operation: "open",
    subject: name,
    hint: "Name a qcow2 image that is whole, or give the format that this file has.",
  });
}

/** A correct image that needs what this program does not have: ENOTSUP. */
export function unsupported(name: string, what: string): BlockError {
  return new BlockError("ENOTSUP", `Cannot open "${name}" as qcow2: ${what} is not supported`, {
    operation: "open",
    subject: name,
  });
}

/** Tables that contradict themselves, found while the image is in use: EIO. */
export function corrupt(name: string, operation: BlockOperation, what: string): BlockError {
  return new BlockError("EIO", `Cannot ${operation} "${name}": the image is corrupt: ${what}`, {
    operation,
    subject: name,
    hint: "Run a check over the image; a backup of its data comes first.",
  });
}
