/**
 * Changing the backing file that a header names.
 *
 * ```text
 * before   |header|extensions|end|name       |
 * step 1   |header|extensions|end|name       |new name|      where nothing points to
 * step 2   |header|extensions|end|           |new name|      first 512 bytes, at once
 * ```
 *
 * - Step 2 is one sector as long as the extensions that change lie in it, so that a power cut
 *   leaves either name with its format. Else all is one write; a killed process does not tear it.
 * - Nothing but the first cluster is written; what was written before is durable before it is.
 *
 * The caller has the image for itself. Source: QEMU 7.2 block/qcow2.c qcow2_update_header.
 */

import { BlockError } from "../errors.ts";
import { encodeExtensions, type HeaderExtension, parseExtensions } from "./header_extensions.ts";
import type { Qcow2Image } from "./image.ts";
import {
  BACKING_NAME_BYTES_MAX,
  EXTENSION,
  FIELD,
  HEADER_BYTES_V2,
  SECTOR_BYTES,
} from "./layout.ts";
import { readU64, viewOf, writeU64 } from "./words.ts";
import type { Qcow2Writer } from "./writer.ts";

/** What a header says of its backing file. */
export interface BackingReference {
  /** Its name as it is written: relative ones are meant from the folder of the image. */
  readonly name: string;
  /** Its format. @default none: whoever opens it has to guess */
  readonly format?: string;
}

/** Where the pieces of a first cluster lie. */
interface FirstCluster {
  readonly headerBytes: number;
  readonly extensionsEnd: number;
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly extensions: readonly HeaderExtension[];
}

function piecesOf(image: Qcow2Image, bytes: Uint8Array): FirstCluster {
  const view = viewOf(bytes);
  const isV3 = image.header.version === 3;
  const headerBytes = isV3 ? view.getUint32(FIELD.headerLength) : HEADER_BYTES_V2;
  const nameStart = readU64(view, FIELD.backingOffset);
  const limit = nameStart === 0 ? bytes.byteLength : nameStart;
  const extensions = parseExtensions(image.name, bytes, headerBytes, limit);
  const extensionsEnd = headerBytes + encodeExtensions(extensions).byteLength;
  const nameEnd = nameStart === 0 ? 0 : nameStart + view.getUint32(FIELD.backingSize);
  return { headerBytes, extensionsEnd, nameStart, nameEnd, extensions };
}

function refuse(image: Qcow2Image, why: string): BlockError {
  return new BlockError("EINVAL", `Cannot change the backing file of "${image.name}": ${why}`, {
    operation: "write",
    subject: image.name,
  });
}

/** The extensions with another format; names of features go if there is no room for them. */
function extensionsWith(old: FirstCluster, format: string | undefined, room: number) {
  const data = new TextEncoder().encode(format ?? "");
  const own = data.byteLength === 0 ? [] : [{ type: EXTENSION.backingFormat, data }];
  const others = old.extensions.filter(({ type }) => type !== EXTENSION.backingFormat);
  const all = [...own, ...others];
  if (encodeExtensions(all).byteLength <= room) return all;
  return all.filter(({ type }) => type !== EXTENSION.featureNames);
}

/** Where a new name goes: behind the extensions, and off the old name if there is room. */
function nameStartOf(end: number, old: FirstCluster, length: number, room: number): number {
  const isApart = end >= old.nameEnd || end + length <= old.nameStart;
  return isApart || old.nameEnd + length > room ? end : old.nameEnd;
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
  const { clusterSize } = image.geometry;
  const old = new Uint8Array(Math.min(clusterSize, image.file.size));
  await image.file.read(0, old);
  const before = piecesOf(image, old);
  const name = new TextEncoder().encode(reference?.name ?? "");
  const room = old.byteLength - before.headerBytes - name.byteLength;
  const extensions = extensionsWith(before, reference?.format, room);
  const encoded = encodeExtensions(extensions);
  if (name.byteLength > BACKING_NAME_BYTES_MAX || encoded.byteLength > room) {
    throw refuse(image, "its name is too long");
  }
  const end = before.headerBytes + encoded.byteLength;
  const nameStart = nameStartOf(end, before, name.byteLength, old.byteLength);
  const bytes = old.slice();
  bytes.set(encoded, before.headerBytes);
  bytes.set(name, nameStart);
  writeU64(viewOf(bytes), FIELD.backingOffset, name.byteLength === 0 ? 0 : nameStart);
  viewOf(bytes).setUint32(FIELD.backingSize, name.byteLength);
  await writeFirst(image, before, bytes, [nameStart, nameStart + name.byteLength]);
  image.header = {
    ...image.header,
    backingName: reference?.name,
    backingFormat: reference?.format,
    extensions,
  };
}

async function writeFirst(
  image: Qcow2Image,
  before: FirstCluster,
  bytes: Uint8Array,
  [nameStart, nameEnd]: readonly [number, number],
): Promise<void> {
  const after = piecesOf(image, bytes);
  const isApart = nameStart >= Math.max(before.extensionsEnd, before.nameEnd) ||
    (nameStart >= before.extensionsEnd && nameEnd <= before.nameStart);
  const isOneSector = Math.max(before.extensionsEnd, after.extensionsEnd) <= SECTOR_BYTES;
  const isUnmoved = sameExtensions(before, after);
  if (isApart && (isOneSector || isUnmoved)) {
    if (nameEnd > nameStart) {
      await image.file.write(nameStart, bytes.subarray(nameStart, nameEnd));
      await image.flushFile();
    }
    await image.file.write(0, bytes.subarray(0, SECTOR_BYTES));
  } else {
    await image.file.write(0, bytes.subarray(0, Math.max(after.extensionsEnd, nameEnd)));
  }
  await image.flushFile();
}

/** True if everything behind the first sector is as it was. */
function sameExtensions(before: FirstCluster, after: FirstCluster): boolean {
  const [one, other] = [encodeExtensions(before.extensions), encodeExtensions(after.extensions)];
  if (one.byteLength !== other.byteLength) return false;
  const rest = SECTOR_BYTES - before.headerBytes;
  return one.subarray(rest).every((byte, index) => byte === other[rest + index]);
}
