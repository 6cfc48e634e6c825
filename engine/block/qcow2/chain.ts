/**
 * Opening: which files a chain consists of, and in which format each of them is.
 *
 * - A relative name of a backing file is meant from the folder of the file that names it.
 * - Backing files are opened for reading only.
 * - A chain that bites its tail, or that has more than 200 files, is refused.
 *
 * May be used by whoever opens images. Source: QEMU 7.2 block.c path_combine and
 * bdrv_open_backing_file.
 */

import { BlockError } from "../errors.ts";
import { FileNode } from "../file_node.ts";
import type { BlockNode } from "../node.ts";
import { RawNode } from "../raw.ts";
import { unsupported } from "./failures.ts";
import { Qcow2Image } from "./image.ts";
import { MAGIC } from "./layout.ts";
import { Qcow2Node } from "./qcow2_node.ts";
import { viewOf } from "./words.ts";

/** Most files of one chain. */
export const CHAIN_DEPTH_MAX = 200;

/** How a chain is opened. */
export interface Qcow2Options {
  /** Opens the top for reading only; what is below it always is. @default false */
  readonly readOnly?: boolean;
  /** Leaves the backing file alone: what it would show reads as zeros. @default false */
  readonly withoutBacking?: boolean;
  /** Opens one file. @default a `FileNode` */
  readonly openFile?: (path: string, isReadOnly: boolean) => Promise<BlockNode>;
}

interface Visit {
  readonly openFile: (path: string, isReadOnly: boolean) => Promise<BlockNode>;
  readonly seen: Set<string>;
  readonly withoutBacking: boolean;
}

/**
 * The path of a backing file as its overlay names it.
 *
 * @param overlay path of the file that names it
 * @param name the name in its header
 * @throws {BlockError} ENOTSUP when the name is not that of a file
 */
export function backingPath(overlay: string, name: string): string {
  const path = name.startsWith("file:") ? name.slice("file:".length) : name;
  const protocol = /^([^/:]*):/.exec(path)?.[1];
  if (protocol !== undefined) throw unsupported(overlay, `a backing file of type "${protocol}"`);
  if (path.startsWith("/")) return path;
  return overlay.slice(0, overlay.lastIndexOf("/") + 1) + path;
}

async function startsLikeQcow2(file: BlockNode): Promise<boolean> {
  if (file.size < 4) return false;
  const start = new Uint8Array(4);
  await file.read(0, start);
  return viewOf(start).getUint32(0) === MAGIC;
}

async function openAs(
  visit: Visit,
  file: BlockNode,
  path: string,
  format: string | undefined,
): Promise<BlockNode> {
  // An overlay that does not say the format of its backing file leaves it to be guessed.
  const found = format ?? (await startsLikeQcow2(file) ? "qcow2" : "raw");
  if (found === "raw" || found === "file") return new RawNode(file);
  if (found === "qcow2") return await openOn(visit, file, path, true);
  throw unsupported(path, `the format "${found}"`);
}

async function openBacking(visit: Visit, overlay: string, name: string, format?: string) {
  const path = backingPath(overlay, name);
  const file = await visit.openFile(path, true);
  try {
    if (visit.seen.has(file.identity)) {
      throw new BlockError("ELOOP", `Cannot open "${overlay}": its backing chain is a ring`, {
        operation: "open",
        subject: overlay,
        hint: `Give it another backing file than "${name}".`,
      });
    }
    if (visit.seen.size >= CHAIN_DEPTH_MAX) {
      throw new BlockError(
        "ELOOP",
        `Cannot open "${overlay}": its backing chain has more than ${CHAIN_DEPTH_MAX} files`,
        { operation: "open", subject: overlay, hint: "Take images out of the chain." },
      );
    }
    return await openAs(visit, file, path, format);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openOn(visit: Visit, file: BlockNode, path: string, isReadOnly: boolean) {
  visit.seen.add(file.identity);
  const header = await Qcow2Image.readHeader(file);
  const { backingName, backingFormat } = header;
  const backing = backingName === undefined || visit.withoutBacking
    ? undefined
    : await openBacking(visit, path, backingName, backingFormat);
  try {
    return await Qcow2Node.over(file, header, { isReadOnly, backing });
  } catch (error) {
    await backing?.close();
    throw error;
  }
}

/**
 * Opens a qcow2 image and everything below it.
 *
 * @param path the top of the chain
 * @throws {BlockError} EINVAL when an image breaks the format; ENOTSUP when one needs a feature
 * that is not there, by its name; ELOOP when the chain is a ring or too long; EROFS when an image
 * that is marked as corrupt is to be written; else as opening a file
 *
 * @example Reads the first sector
 * ```ts ignore
 * const node = await openQcow2("disk.qcow2", { readOnly: true });
 * await node.read(0, new Uint8Array(512));
 * await node.close();
 * ```
 */
export async function openQcow2(path: string, options: Qcow2Options = {}): Promise<Qcow2Node> {
  const openFile = options.openFile ??
    ((file, isReadOnly) => FileNode.open(file, { readOnly: isReadOnly }));
  const withoutBacking = options.withoutBacking === true;
  const visit: Visit = { openFile, seen: new Set(), withoutBacking };
  const isReadOnly = options.readOnly === true;
  const file = await openFile(path, isReadOnly);
  try {
    return await openOn(visit, file, path, isReadOnly);
  } catch (error) {
    await file.close();
    throw error;
  }
}
