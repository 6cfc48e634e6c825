/** How image files are opened, and who may use them. */

import { BlockError } from "../../block/errors.ts";
import type { FileOptions } from "../../block/file.ts";
import { FileNode } from "../../block/file_node.ts";
import type { BlockNode } from "../../block/node.ts";
import type { OpenContext, Use } from "../driver.ts";

/** An opened file. */
export interface ImageFile extends BlockNode {
  /** True if opening made it. */
  readonly isCreated: boolean;
  /** True for a block device, whose size cannot be changed. */
  readonly isDevice: boolean;
  /** Removes it if opening made it. */
  removeCreated(): Promise<void>;
}

/** Opens one file; tests put faults in here. */
export type OpenImageFile = (path: string, options: FileOptions) => Promise<ImageFile>;

/** Opens regular files and block devices. */
export const openImageFile: OpenImageFile = (path, options) => FileNode.open(path, options);

/** Where images are looked for, and how they are opened. */
export interface ImagePlace {
  /** Folder against which relative names resolve. */
  readonly folder: string;
  /** Opens one file. @default `openImageFile` */
  readonly openFile?: OpenImageFile | undefined;
}

/** True if an image is still what its name stands for, of the size that it was opened with. */
export async function isAsOpened(node: BlockNode): Promise<boolean> {
  try {
    return await node.measure() === node.size;
  } catch (error) {
    if (error instanceof BlockError && error.code === "ENOENT") return false;
    throw error;
  }
}

/** One file of an image or of its backing chain. */
export interface FileUse {
  /** Tells it from all others. */
  readonly identity: string;
  /** Its name, for texts. */
  readonly name: string;
  /** How it is used. */
  readonly use: Use;
}

/**
 * Claims files for one job; all or none.
 *
 * @returns gives them back, and is safe to call twice
 * @throws {BlockError} EBUSY when another job of this engine writes one of them, or uses one that
 * is to be written. Source: QEMU 7.2 block.c bdrv_op_is_blocked
 */
export async function claimFiles(
  context: Pick<OpenContext, "claim">,
  files: readonly FileUse[],
): Promise<() => void> {
  const releases: (() => void)[] = [];
  const release = () => {
    for (const give of releases.splice(0)) give();
  };
  for (const { identity, name, use } of files) {
    const given = context.claim === undefined ? () => {} : await context.claim(identity, use);
    if (given !== undefined) {
      releases.push(given);
      continue;
    }
    release();
    throw new BlockError(
      "EBUSY",
      `Node '${name}' is busy: block device is in use by another job`,
      { operation: "open", subject: name, hint: "Wait for the other job, or end it." },
    );
  }
  return release;
}
