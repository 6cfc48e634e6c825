/**
 * Reading: bytes, and the map of allocation, through the backing chain.
 *
 * - Reads are as large as what lies together in the file.
 * - The map looks at tables only, never at bytes of the image.
 *
 * May be used by the files of this folder.
 */

import type { Extent, ExtentKind, LentRange, Loan } from "../node.ts";
import { readCompressed } from "./compressed.ts";
import type { Qcow2Image } from "./image.ts";
import { type MappedRun, mapRun } from "./mapping.ts";

async function readRun(
  image: Qcow2Image,
  run: MappedRun,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  if (run.kind === "standard") {
    await image.readFile("read_aio", run.host, bytes);
  } else if (run.kind === "zero") {
    bytes.fill(0);
  } else if (run.kind === "unallocated") {
    await image.readBacking(offset, bytes);
  } else {
    const cluster = await readCompressed(image, run.entry);
    const inside = offset % image.geometry.clusterSize;
    bytes.set(cluster.subarray(inside, inside + bytes.byteLength));
  }
}

/** Fills all of `bytes` from `offset` of the image on. */
export async function readImage(
  image: Qcow2Image,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const run = await mapRun(image, offset + done, bytes.byteLength - done);
    await readRun(image, run, offset + done, bytes.subarray(done, done + run.length));
    done += run.length;
  }
}

/** Calls `use` with where the first run of a range lies, if it lies anywhere as it is. */
export async function lendRun(
  image: Qcow2Image,
  offset: number,
  length: number,
  use: (range: LentRange) => Promise<void>,
): Promise<Loan> {
  const run = await mapRun(image, offset, length);
  const { file, backing } = image;
  if (run.kind === "standard" && run.host + run.length <= file.size) {
    file.debugEvent?.("read_aio");
    await use({ node: file, offset: run.host, length: run.length });
    return { length: run.length, isUsed: true };
  }
  if (run.kind !== "unallocated" || backing === undefined || offset >= backing.size) {
    return { length: run.length, isUsed: false };
  }
  const shown = Math.min(run.length, backing.size - offset);
  await use({ node: backing, offset, length: shown });
  return { length: shown, isUsed: true };
}

/** What is known about a range in this image alone. */
export interface LayerExtent extends Extent {
  /** True if the bytes are decided here; false if the backing file shows through. */
  readonly isAllocated: boolean;
}

const KINDS: { readonly [kind in MappedRun["kind"]]: ExtentKind } = {
  unallocated: "hole",
  zero: "zero",
  standard: "data",
  compressed: "data",
};

/** The piece that starts at `offset`, in this image alone. What shows through counts as a hole. */
export async function layerExtent(
  image: Qcow2Image,
  offset: number,
  length: number,
): Promise<LayerExtent> {
  const first = await mapRun(image, offset, length);
  const { tableSpan } = image.geometry;
  const stop = Math.min(offset + length, (Math.floor(offset / tableSpan) + 1) * tableSpan);
  let end = offset + first.length;
  const kind = KINDS[first.kind];
  while (end < stop) {
    const next = await mapRun(image, end, stop - end);
    if (KINDS[next.kind] !== kind) break;
    end += next.length;
  }
  return { offset, length: end - offset, kind, isAllocated: first.kind !== "unallocated" };
}

/** The piece that starts at `offset`, through the backing chain. */
export async function chainExtent(
  image: Qcow2Image,
  offset: number,
  length: number,
): Promise<Extent> {
  if (length === 0) return { offset, length, kind: "hole" };
  const { isAllocated, ...own } = await layerExtent(image, offset, length);
  const below = (image.backing?.size ?? 0) - offset;
  if (isAllocated || image.backing === undefined || below <= 0) return own;
  return await image.backing.extent(offset, Math.min(own.length, below));
}
