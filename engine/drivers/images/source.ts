/** The image that a job reads: a file in a format, with its backing chain. */

import type { BlockNode } from "../../block/node.ts";
import { type LayerExtent, openQcow2, type Qcow2Node } from "../../block/qcow2/mod.ts";
import { type FileUse, type ImagePlace, openClaimed } from "./files.ts";
import { type ImageFormat, probeFormat } from "./probe.ts";

/** The image below another one, as a new image would name it. */
export interface BackingName {
  /** Path: absolute if the overlay's is. */
  readonly path: string;
  /** Its format. */
  readonly format: ImageFormat;
}

/** What a job knows of its source. */
export interface SourceImage {
  /** What is read: the whole chain. The job closes it. */
  readonly node: BlockNode;
  /** Its path. */
  readonly path: string;
  /** Its format. */
  readonly format: ImageFormat;
  /** What is below it; undefined if nothing is. */
  readonly backing: BackingName | undefined;
  /** Its files, the top first. */
  readonly files: readonly FileUse[];
  /** What the top of the chain alone knows about a range; absent if there is nothing below. */
  readonly topExtent?: (offset: number, length: number) => Promise<LayerExtent>;
}

/** How a source is opened. */
export interface SourceOptions extends ImagePlace {
  /** Its format. @default probed */
  readonly format?: ImageFormat | undefined;
  /** False opens it for writing, too. @default true */
  readonly readOnly?: boolean;
  /** Leaves what is below alone, which may be missing. @default false */
  readonly withoutBacking?: boolean;
}

/** Opens a qcow2 image over a file that is open already, and notes all files of its chain. */
export async function openChain(
  top: BlockNode,
  place: ImagePlace & { readonly readOnly: boolean; readonly withoutBacking?: boolean },
): Promise<{ readonly node: Qcow2Node; readonly files: readonly FileUse[] }> {
  const files: FileUse[] = [];
  const node = await openQcow2(top.name, {
    readOnly: place.readOnly,
    withoutBacking: place.withoutBacking === true,
    async openFile(path) {
      const isTop = files.length === 0;
      const use = isTop && !place.readOnly ? "write" : "read";
      const file = isTop ? top : await openClaimed(place, { path, use });
      files.push({ identity: file.identity, name: file.name, use });
      return file;
    },
  });
  return { node, files };
}

/** What is directly below an image. */
function backingOf(node: Qcow2Node): BackingName | undefined {
  const { backing } = node;
  if (backing === undefined) return undefined;
  // A window over a file is raw; whatever has a header of its own is qcow2.
  return { path: backing.name, format: "header" in backing ? "qcow2" : "raw" };
}

/**
 * Opens an image for reading, with its backing chain.
 *
 * @throws {BlockError} with the errno of the file that cannot be opened; EINVAL and ENOTSUP as
 * `openQcow2` and `probeFormat`
 */
export async function openSourceImage(path: string, options: SourceOptions): Promise<SourceImage> {
  const { readOnly = true } = options;
  const use = readOnly ? "read" : "write";
  const file = await openClaimed(options, { path, use });
  let format: ImageFormat;
  try {
    format = options.format ?? await probeFormat(file);
  } catch (error) {
    await file.close();
    throw error;
  }
  if (format === "raw") {
    const { identity, name } = file;
    const files = [{ identity, name, use }] as const;
    return { node: file, path: name, format, backing: undefined, files };
  }
  // Closes the file itself if it fails.
  const { node, files } = await openChain(file, { ...options, readOnly });
  const backing = backingOf(node);
  const known = { node, path: file.name, format, backing, files } as const;
  if (backing === undefined) return known;
  return { ...known, topExtent: (offset, length) => node.layerExtent(offset, length) };
}
