/**
 * Changing the backing file that a header names.
 *
 * Nothing but the first cluster is written, as `first_cluster.ts` has it; what was written before
 * is durable before it is. The caller has the image for itself.
 */

import { BlockError } from "../errors.ts";
import {
  type FirstCluster,
  fittingExtensions,
  readFirstCluster,
  writeFirstCluster,
} from "./first_cluster.ts";
import type { Qcow2Image } from "./image.ts";
import { BACKING_NAME_BYTES_MAX, EXTENSION } from "./layout.ts";
import type { Qcow2Writer } from "./writer.ts";

/** What a header says of its backing file. */
export interface BackingReference {
  /** Its name as it is written: relative ones are meant from the folder of the image. */
  readonly name: string;
  /** Its format. @default none: whoever opens it has to guess */
  readonly format?: string;
}

function refuse(image: Qcow2Image, why: string): BlockError {
  return new BlockError("EINVAL", `Cannot change the backing file of "${image.name}": ${why}`, {
    operation: "write",
    subject: image.name,
  });
}

/** The extensions with another format. */
function extensionsWith(old: FirstCluster, format: string | undefined) {
  const data = new TextEncoder().encode(format ?? "");
  const own = data.byteLength === 0 ? [] : [{ type: EXTENSION.backingFormat, data }];
  return [...own, ...old.extensions.filter(({ type }) => type !== EXTENSION.backingFormat)];
}

/**
 * Makes the header name another backing file, or none. What is open stays as it is.
 *
 * @throws {BlockError} EINVAL when the name is too long
 */
export async function writeBacking(
  writer: Qcow2Writer,
  reference: BackingReference | undefined,
): Promise<void> {
  const { image } = writer;
  const old = await readFirstCluster(image);
  const name = new TextEncoder().encode(reference?.name ?? "");
  const wanted = extensionsWith(old, reference?.format);
  const extensions = fittingExtensions(old, wanted, name.byteLength);
  if (name.byteLength > BACKING_NAME_BYTES_MAX || extensions === undefined) {
    throw refuse(image, "its name is too long");
  }
  await writeFirstCluster(image, old, { extensions, name });
  image.header = {
    ...image.header,
    backingName: reference?.name,
    backingFormat: reference?.format,
    extensions,
  };
}
