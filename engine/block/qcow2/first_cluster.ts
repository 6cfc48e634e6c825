/**
 * The first cluster of an image as pieces, and how it is changed without ever being torn by a
 * killed process.
 *
 * ```text
 * |header|extensions|end|name of the backing file|free ...|
 * ```
 *
 * - A name that moves is written where nothing points to, and flushed, before the rest is.
 * - The rest is one sector as long as the extensions that change lie in it, so that a power cut
 *   leaves either state. Else all is one write; a killed process does not tear it.
 *
 * The caller keeps commits away. Source: QEMU 7.2 block/qcow2.c qcow2_update_header.
 */

import { encodeExtensions, type HeaderExtension, parseExtensions } from "./header_extensions.ts";
import type { Qcow2Image } from "./image.ts";
import { EXTENSION, FIELD, HEADER_BYTES_V2, SECTOR_BYTES } from "./layout.ts";
import { readU64, viewOf, writeU64 } from "./words.ts";

/** Where the pieces of a first cluster lie. */
export interface FirstCluster {
  /** All of it, or as much as the file has. */
  readonly bytes: Uint8Array;
  /** Bytes of the header's fields. */
  readonly headerBytes: number;
  /** Where the extensions end, their end mark included. */
  readonly extensionsEnd: number;
  /** Where the name of the backing file starts; 0 = there is none. */
  readonly nameStart: number;
  /** Where it ends. */
  readonly nameEnd: number;
  /** The extensions. */
  readonly extensions: readonly HeaderExtension[];
}

/** What the first cluster is to say. */
export interface FirstClusterChange {
  /** All extensions in their order. */
  readonly extensions: readonly HeaderExtension[];
  /** The name of the backing file; empty = none. */
  readonly name: Uint8Array;
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
  return { bytes, headerBytes, extensionsEnd, nameStart, nameEnd, extensions };
}

/** Reads the first cluster. */
export async function readFirstCluster(image: Qcow2Image): Promise<FirstCluster> {
  const bytes = new Uint8Array(Math.min(image.geometry.clusterSize, image.file.size));
  await image.file.read(0, bytes);
  return piecesOf(image, bytes);
}

/** The extensions, without names of features if there is no room for those. */
export function fittingExtensions(
  first: FirstCluster,
  extensions: readonly HeaderExtension[],
  nameBytes: number,
): readonly HeaderExtension[] | undefined {
  const room = first.bytes.byteLength - first.headerBytes - nameBytes;
  const fits = (some: readonly HeaderExtension[]) => encodeExtensions(some).byteLength <= room;
  if (fits(extensions)) return extensions;
  const fewer = extensions.filter(({ type }) => type !== EXTENSION.featureNames);
  return fits(fewer) ? fewer : undefined;
}

/** Where a new name goes: behind the extensions, and off the old name if there is room. */
function nameStartOf(end: number, old: FirstCluster, length: number): number {
  const isApart = end >= old.nameEnd || end + length <= old.nameStart;
  return isApart || old.nameEnd + length > old.bytes.byteLength ? end : old.nameEnd;
}

/** Writes extensions and name, which must fit. Durable when it resolves. */
export async function writeFirstCluster(
  image: Qcow2Image,
  old: FirstCluster,
  { extensions, name }: FirstClusterChange,
): Promise<void> {
  const encoded = encodeExtensions(extensions);
  const end = old.headerBytes + encoded.byteLength;
  const isSame = name.byteLength > 0 && name.byteLength === old.nameEnd - old.nameStart &&
    old.nameStart >= end &&
    name.every((byte, index) => byte === old.bytes[old.nameStart + index]);
  const nameStart = isSame ? old.nameStart : nameStartOf(end, old, name.byteLength);
  const bytes = old.bytes.slice();
  bytes.set(encoded, old.headerBytes);
  bytes.set(name, nameStart);
  writeU64(viewOf(bytes), FIELD.backingOffset, name.byteLength === 0 ? 0 : nameStart);
  viewOf(bytes).setUint32(FIELD.backingSize, name.byteLength);
  await writePieces(image, old, bytes, [nameStart, nameStart + name.byteLength]);
}

async function writePieces(
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
