/**
 * Checking an image, and setting its counts right.
 *
 * - A cluster that is counted more often than it is in use is a leak: it wastes space.
 * - A cluster that is counted less often is a corruption: it may be given out twice. So is whatever
 *   the tables say that cannot be.
 *
 * May be used by whoever opens images. Source: QEMU 7.2 block/qcow2-refcount.c
 * qcow2_check_refcounts; its numbers are the same.
 */

import { BlockError } from "../errors.ts";
import { FileNode } from "../file_node.ts";
import { Qcow2Image } from "./image.ts";
import { FIELD, INCOMPATIBLE } from "./layout.ts";
import { References } from "./references.ts";
import { Refcounts } from "./refcounts.ts";
import { viewOf } from "./words.ts";
import { Qcow2Writer } from "./writer.ts";

/** Descriptions that a result holds at most. */
export const PROBLEMS_MAX = 50;

/** What a check found. */
export interface Qcow2CheckResult {
  /** Clusters that are counted too low, and entries that cannot be so. */
  readonly corruptions: number;
  /** Clusters that are counted too high. */
  readonly leaks: number;
  /** The first of them in words; see `PROBLEMS_MAX`. */
  readonly problems: readonly string[];
  /** Clusters of the image that have bytes in this file. */
  readonly dataClusters: number;
  /** Those of them that are compressed. */
  readonly compressedClusters: number;
}

/** A cluster whose count is wrong. */
interface WrongCount {
  readonly cluster: number;
  readonly count: number;
}

interface Findings extends Qcow2CheckResult {
  readonly wrong: readonly WrongCount[];
}

/** Collects what is found. */
class Report {
  readonly wrong: WrongCount[] = [];
  readonly problems: string[] = [];
  corruptions = 0;
  leaks = 0;

  add(what: string, isLeak: boolean): void {
    if (isLeak) this.leaks++;
    else this.corruptions++;
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(what);
  }

  compare(cluster: number, stored: number, counted: number, clusterSize: number): void {
    if (stored === counted) return;
    const what = `the cluster at ${cluster * clusterSize} is used ${counted} times, ` +
      `and its count is ${stored}`;
    this.add(what, stored > counted);
    this.wrong.push({ cluster, count: counted });
  }
}

async function compareCounts(
  image: Qcow2Image,
  refcounts: Refcounts,
  used: References,
  to: Report,
) {
  const { clusterSize } = image.geometry;
  const { perBlock, blocks } = refcounts;
  // Counts behind the end of the file waste nothing; QEMU does not look at them either.
  const clusterCount = Math.ceil(image.file.size / clusterSize);
  for (let index = 0; index * perBlock < clusterCount; index++) {
    try {
      const block = await refcounts.acquire(index);
      if (block === undefined) continue;
      const slotCount = Math.min(perBlock, clusterCount - index * perBlock);
      for (let slot = 0; slot < slotCount; slot++) {
        const cluster = index * perBlock + slot;
        to.compare(cluster, refcounts.countIn(block, slot), used.countOf(cluster), clusterSize);
      }
      blocks.release(block);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      to.add(error.message, false);
    }
  }
  for (const cluster of used.clusters()) {
    if (refcounts.blockHost(Math.floor(cluster / perBlock)) !== 0) continue;
    to.compare(cluster, 0, used.countOf(cluster), clusterSize);
  }
}

async function findIn(image: Qcow2Image, refcounts: Refcounts): Promise<Findings> {
  const report = new Report();
  const used = new References(image, refcounts, (what) => report.add(what, false));
  await used.collect();
  await compareCounts(image, refcounts, used, report);
  const { corruptions, leaks, problems, wrong } = report;
  const { dataClusters, compressedClusters } = used;
  return { corruptions, leaks, problems, wrong, dataClusters, compressedClusters };
}

/** Checks an image whose tables in the file are up to date. Changes nothing. */
export async function checkImage(image: Qcow2Image): Promise<Qcow2CheckResult> {
  const { wrong: _, ...result } = await findIn(image, await Refcounts.load(image));
  return result;
}

/** Which counts are set right: those that are too high, or all. */
export type Qcow2Repair = "leaks" | "all";

/**
 * Sets counts right, then checks again.
 *
 * Counts that are too low go up before anything is allocated, so that no cluster in use is given
 * out. When nothing corrupt is left, the image is no longer marked as dirty or corrupt.
 *
 * @returns what the second check found
 */
export async function repairImage(
  image: Qcow2Image,
  repair: Qcow2Repair,
): Promise<Qcow2CheckResult> {
  const writer = await Qcow2Writer.open(image);
  const { refcounts, allocator, committer } = writer;
  const { wrong } = await findIn(image, refcounts);
  for (const { cluster } of wrong) allocator.avoid(cluster);
  for (const { cluster, count } of wrong) {
    const isLeak = await refcounts.countOf(cluster) > count;
    // A count that does not fit stays wrong, and the second check says so.
    if (isLeak || (repair === "all" && count <= refcounts.countMax)) {
      await allocator.setCount(cluster, count);
    }
  }
  await committer.commitAll();
  const result = await checkImage(image);
  if (result.corruptions === 0 && repair === "all") await clearMarks(writer);
  return result;
}

async function clearMarks({ image, committer }: Qcow2Writer): Promise<void> {
  const incompatible = image.header.incompatible & ~INCOMPATIBLE.dirty & ~INCOMPATIBLE.corrupt;
  if (incompatible === image.header.incompatible) return;
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, incompatible);
  await committer.writeHeader(FIELD.incompatible, bytes);
  image.header = { ...image.header, incompatible };
}

/**
 * Counts again what a writer that was not closed may have left uncounted.
 *
 * @throws {BlockError} EIO when more than counts is wrong
 */
export async function mendImage(image: Qcow2Image): Promise<void> {
  const { corruptions, problems } = await repairImage(image, "all");
  if (corruptions === 0) return;
  const action = `Cannot open "${image.name}" for writing`;
  throw new BlockError("EIO", `${action}: it was not closed, and ${problems[0]}`, {
    operation: "open",
    subject: image.name,
  });
}

/**
 * Checks the image in a file that nobody has open for writing. Its backing chain is not looked at.
 *
 * @param repair which counts are set right first; nothing is changed without it
 * @throws {BlockError} as `openQcow2` for a header that breaks the format
 *
 * @example
 * ```ts ignore
 * const { corruptions, leaks, problems } = await checkQcow2("disk.qcow2");
 * ```
 */
export async function checkQcow2(path: string, repair?: Qcow2Repair): Promise<Qcow2CheckResult> {
  const file = await FileNode.open(path, { readOnly: repair === undefined });
  try {
    const image = await Qcow2Image.load(file, await Qcow2Image.readHeader(file));
    return repair === undefined ? await checkImage(image) : await repairImage(image, repair);
  } finally {
    await file.close();
  }
}
