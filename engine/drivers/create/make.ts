/**
 * Makes what a `create` job is asked for: a file, or a qcow2 image in a node.
 *
 * - What is there is lost: emptying it is an act, announced and confirmed in the log.
 * - A file is claimed while it is made, so that no other job has it meanwhile.
 *
 * Used by `create.ts`. Source: QEMU 7.2 block/qcow2.c qcow2_co_create; block/file-posix.c
 * raw_co_create.
 */

import { BlockError } from "../../block/errors.ts";
import { FileNode } from "../../block/file_node.ts";
import type { BlockNode } from "../../block/node.ts";
import { systemWords } from "../../block/system_words.ts";
import { formatQcow2, type Qcow2CreateOptions } from "../../block/qcow2/mod.ts";
import type { DriverContext, OpenContext } from "../driver.ts";
import type { FileCreate, Qcow2Create } from "./parameters.ts";

/** Unit in which sizes of qcow2 images are counted. */
const SECTOR = 512;

function fault(subject: string, text: string): BlockError {
  return new BlockError("EINVAL", text, { operation: "open", subject });
}

/** In QEMU's order. Source: QEMU 7.2 block/qcow2.c qcow2_co_create, validate_cluster_size. */
function faultOf(options: Qcow2Create): string | undefined {
  const { size, version = "v3", "cluster-size": cluster = 65_536 } = options;
  const bits = options["refcount-bits"] ?? 16;
  const isPower = (value: number) => value > 0 && Number.isInteger(Math.log2(value));
  if (size % SECTOR !== 0) return "Image size must be a multiple of 512 bytes";
  if (cluster < 512 || cluster > 2_097_152 || !isPower(cluster)) {
    return "Cluster size must be a power of two between 512 and 2048k";
  }
  if (options["backing-file"] !== undefined && options.preallocation === "metadata") {
    return "Backing file and preallocation can only be used at the same time if extended_l2 is " +
      "enabled";
  }
  if (options["backing-fmt"] !== undefined && options["backing-file"] === undefined) {
    return "Backing format cannot be used without backing file";
  }
  const hint = "(use version=v3 or greater)";
  if (version === "v2" && options["lazy-refcounts"] === true) {
    return `Lazy refcounts only supported with compatibility level 1.1 and above ${hint}`;
  }
  if (bits > 64 || !isPower(bits)) {
    return "Refcount width must be a power of two and may not exceed 64 bits";
  }
  if (version === "v2" && bits !== 16) {
    return "Different refcount widths than 16 bits require compatibility level 1.1 or above " +
      hint;
  }
  if (version === "v2" && options["compression-type"] === "zstd") {
    return "Non-zlib compression type is only supported with compatibility level 1.1 and above " +
      hint;
  }
  return undefined;
}

function backingOf(
  options: Qcow2Create,
): Pick<Qcow2CreateOptions, "backingFile" | "backingFormat"> {
  const { "backing-file": backingFile, "backing-fmt": format } = options;
  if (backingFile === undefined) return {};
  if (format === "raw" || format === "qcow2") return { backingFile, backingFormat: format };
  const found = format === undefined ? "none" : `"${format}"`;
  const text = `Cannot name the backing file "${backingFile}": expected the format raw or qcow2, ` +
    `found ${found}`;
  throw fault(backingFile, text);
}

/** A system error in words of what was to be done; the errno stays. */
function worded(error: unknown, words: string): unknown {
  if (!(error instanceof BlockError)) return error;
  const text = `${words}: ${systemWords(error)}`;
  const { operation, subject } = error;
  return new BlockError(error.code, text, { operation, subject, cause: error });
}

async function openedFile(filename: string, folder: string): Promise<FileNode> {
  try {
    return await FileNode.open(filename, { create: "ifMissing", folder });
  } catch (error) {
    throw worded(error, `Could not create '${filename}'`);
  }
}

/** More than any system keeps in one file, or a runtime can ask for. */
const TOO_LARGE = 2 ** 52;

async function resized(file: FileNode, size: number): Promise<void> {
  try {
    if (size >= TOO_LARGE) throw fault(file.name, `Cannot resize "${file.name}" to ${size} bytes`);
    await file.truncate(size);
  } catch (error) {
    throw worded(error, "Could not resize file");
  }
}

/** Makes a file of zeros. @throws {BlockError} EBUSY when another job has it */
export async function makeFile(
  { filename, size }: FileCreate,
  context: DriverContext,
  place: OpenContext,
) {
  const file = await openedFile(filename, place.baseFolder);
  const release = await place.claim?.(file.identity, "new-file");
  try {
    if (place.claim !== undefined && release === undefined) {
      const text = `Node '${file.name}' is busy: block device is in use by another job`;
      throw new BlockError("EBUSY", text, { operation: "open", subject: file.name });
    }
    const make = async () => {
      if (file.size > 0) await file.truncate(0);
      await resized(file, size);
      await file.flush();
    };
    if (file.size === 0) return await make();
    const act = { subject: file.name, before: { size: file.size }, after: { size } };
    await context.act({ kind: "truncate", ...act }, make);
  } finally {
    release?.();
    await file.close();
  }
}

/** Source: QEMU 7.2 block/qcow2.c qcow2_co_create: what is written first is the header. */
async function formatted(node: BlockNode, format: Qcow2CreateOptions): Promise<void> {
  try {
    await formatQcow2(node, format);
  } catch (error) {
    const isWrite = error instanceof BlockError && error.operation === "write";
    throw isWrite ? worded(error, "Could not write qcow2 header") : error;
  }
}

/** Makes an image in a node. @throws {BlockError} EINVAL when the options do not go together */
export async function makeQcow2(
  options: Qcow2Create,
  context: DriverContext,
  { nodes }: OpenContext,
) {
  if (nodes === undefined) throw fault("file", "Cannot create an image: there are no nodes");
  const { file } = options;
  const name = typeof file === "string" ? nodes.find(file).name : await nodes.open(file);
  const node = nodes.attach(name, "new-file");
  const text = faultOf(options);
  if (text !== undefined) throw fault(name, text);
  const { version = "v3", preallocation, "lazy-refcounts": lazyRefcounts } = options;
  const { "cluster-size": clusterSize, "refcount-bits": refcountBits } = options;
  const { "compression-type": compressionType } = options;
  const format: Qcow2CreateOptions = {
    size: options.size,
    compat: version === "v2" ? "0.10" : "1.1",
    ...(clusterSize === undefined ? {} : { clusterSize }),
    ...(refcountBits === undefined ? {} : { refcountBits }),
    ...(lazyRefcounts === undefined ? {} : { lazyRefcounts }),
    ...(preallocation === undefined ? {} : { preallocation }),
    ...(compressionType === undefined ? {} : { compressionType }),
    ...backingOf(options),
  };
  const make = () => formatted(node, format);
  if (node.size === 0) return await make();
  const after = { size: options.size, format: "qcow2" };
  const act = { subject: node.name, before: { size: node.size }, after };
  await context.act({ kind: "truncate", ...act }, make);
}
