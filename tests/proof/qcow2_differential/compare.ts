/** Does the same to one image with our node and to another with qemu-io, and compares them. */
import { deepStrictEqual as assertEquals, ok as assert } from "node:assert/strict";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { changeImageBitmap } from "../../../engine/drivers/images/bitmap_tools.ts";
import {
  ALL_VERBS,
  applyToNode,
  asQemuIo,
  type Change,
  changesFrom,
} from "../../engine/block/qcow2/changes.ts";
import {
  bytesByQemu,
  bytesOf,
  checkByQemu,
  qemuImg,
  qemuIo,
} from "../../engine/block/qcow2/qemu.ts";
import { bitmapsByQemu, bitsByQemu, HAS_DAEMON } from "../../engine/block/qcow2/qemu_bitmaps.ts";
import { type ImageFolder, noise, sameBytes } from "../../support/images.ts";
import type { ChangeList, ImageCase } from "./image_case.ts";

const SOUND = { corruptions: 0, leaks: 0 };
const OURS = "ours.qcow2";
const THEIRS = "theirs.qcow2";

interface Link {
  readonly backingFile: string;
  readonly backingFormat: "raw" | "qcow2";
}

/** Makes what is below, alternately by us and by QEMU. @returns what the top leads to */
async function makeBelow(folder: ImageFolder, image: ImageCase): Promise<Link | undefined> {
  let link: Link | undefined;
  for (const [index, { format, size, seed }] of image.below.entries()) {
    const backingFile = `below${index}.${format}`;
    const path = folder.file(backingFile);
    const changes = changesFrom(seed, 12, size);
    if (format === "raw") folder.write(backingFile, noise(size, seed));
    else if (index % 2 === 0) {
      const node = await createQcow2(path, { size, ...link });
      for (const change of changes) await applyToNode(node, change);
      await node.close();
    } else {
      qemuImg("create", "-q", "-f", "qcow2", ...backingArguments(link), path, String(size));
      qemuIo(path, changes.map(asQemuIo));
    }
    link = { backingFile, backingFormat: format };
  }
  return link;
}

function backingArguments(link: Link | undefined): readonly string[] {
  return link === undefined ? [] : ["-b", link.backingFile, "-F", link.backingFormat];
}

async function makeTops(folder: ImageFolder, image: ImageCase, link?: Link): Promise<void> {
  const { size, clusterSize, compat, refcountBits, lazyRefcounts } = image;
  const shape = { size, clusterSize, compat, refcountBits, lazyRefcounts, ...link };
  await (await createQcow2(folder.file(OURS), shape)).close();
  const options = [
    ...[`cluster_size=${clusterSize}`, `compat=${compat}`],
    ...(refcountBits === 16 ? [] : [`refcount_bits=${refcountBits}`]),
    ...(lazyRefcounts ? ["lazy_refcounts=on"] : []),
  ].join(",");
  const backing = backingArguments(link);
  const path = folder.file(THEIRS);
  qemuImg("create", "-q", "-f", "qcow2", "-o", options, ...backing, path, String(size));
}

/** Bitmaps of the same names in both, by us and by QEMU. */
async function addBitmaps(folder: ImageFolder, { bitmaps }: ImageCase): Promise<void> {
  for (const [index, granularity] of bitmaps.entries()) {
    await changeImageBitmap(folder.file(OURS), `b${index}`, { verb: "add", granularity });
    const path = folder.file(THEIRS);
    qemuImg("bitmap", "--add", "-g", String(granularity), path, `b${index}`);
  }
}

/** Both keep the same bitmaps, with the same bits, as QEMU reads them. */
function expectSameBitmaps(folder: ImageFolder, { bitmaps }: ImageCase): void {
  const [ours, theirs] = [folder.file(OURS), folder.file(THEIRS)];
  assertEquals(bitmapsByQemu(ours), bitmapsByQemu(theirs));
  for (const index of HAS_DAEMON ? bitmaps.keys() : []) {
    const name = `b${index}`;
    assertEquals(bitsByQemu(folder, ours, name), bitsByQemu(folder, theirs, name), name);
  }
}

async function changeByUs(path: string, changes: readonly Change[]): Promise<number> {
  const node = await openQcow2(path);
  let count = 0;
  for (const change of changes) {
    await applyToNode(node, change);
    if (++count % 16 === 0) await node.flush();
  }
  const { size } = node;
  await node.close();
  return size;
}

async function readByUs(path: string): Promise<Uint8Array> {
  const node = await openQcow2(path, { readOnly: true });
  try {
    return await bytesOf(node);
  } finally {
    await node.close();
  }
}

/** Both are sound, and read the same, whoever reads them. */
async function expectEqual(folder: ImageFolder, isByUs: string): Promise<void> {
  const [ours, theirs] = [folder.file(OURS), folder.file(THEIRS)];
  assertEquals(checkByQemu(isByUs), SOUND, isByUs);
  qemuImg("compare", "-q", "-f", "qcow2", "-F", "qcow2", ours, theirs);
  const bytes = bytesByQemu(folder, theirs);
  assert(sameBytes(await readByUs(ours), bytes), "we read our image otherwise");
  assert(sameBytes(await readByUs(theirs), bytes), "we read the image of QEMU otherwise");
}

/**
 * Zeros what a shrinking leaves in the last cluster: when the image grows again, we show zeros
 * there, and QEMU what there was.
 */
function withClearedTails(
  changes: readonly Change[],
  size: number,
  clusterSize: number,
): readonly Change[] {
  let end = size;
  return changes.flatMap((change): readonly Change[] => {
    if (change.verb !== "truncate") return [change];
    const { offset } = change;
    const tailEnd = Math.min(end, Math.ceil(offset / clusterSize) * clusterSize);
    end = offset;
    if (tailEnd <= offset) return [change];
    return [{ verb: "zero", offset, length: tailEnd - offset, fill: 0 }, change];
  });
}

/** Compares one case; what differs is thrown. */
export async function compareWithQemu(folder: ImageFolder, image: ImageCase): Promise<void> {
  const link = await makeBelow(folder, image);
  await makeTops(folder, image, link);
  const [ours, theirs] = [folder.file(OURS), folder.file(THEIRS)];
  // Version 2 has no flag for zeros: over something, QEMU neither grows such an image nor discards
  // in it, and we discard what lies behind the end of what is below.
  await addBitmaps(folder, image);
  const hasFlag = image.compat === "1.1" || link === undefined;
  const verbs = ALL_VERBS.filter((verb) => hasFlag || verb === "write" || verb === "zero");
  const listFrom = ({ seed, count }: ChangeList, size: number) =>
    withClearedTails(changesFrom(seed, count, size, verbs), size, image.clusterSize);
  const first = listFrom(image.first, image.size);
  const size = await changeByUs(ours, first);
  qemuIo(theirs, first.map(asQemuIo));
  await expectEqual(folder, ours);
  expectSameBitmaps(folder, image);
  const second = listFrom(image.second, size);
  await changeByUs(theirs, second);
  qemuIo(ours, second.map(asQemuIo));
  await expectEqual(folder, theirs);
  expectSameBitmaps(folder, image);
}
