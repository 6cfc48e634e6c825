/** An image of any kind that both sides can make, with what is below it and what is done to it. */

/** Changes, by the seed that makes them. */
export interface ChangeList {
  readonly seed: number;
  readonly count: number;
}

/** A backing file: raw with noise, or qcow2 with a few changes over the one below. */
export interface BelowCase {
  readonly format: "raw" | "qcow2";
  readonly size: number;
  readonly seed: number;
}

/** See the head of this file. */
export interface ImageCase {
  readonly size: number;
  readonly clusterSize: number;
  readonly compat: "0.10" | "1.1";
  readonly refcountBits: number;
  readonly lazyRefcounts: boolean;
  /** Bytes of each bit of the bitmaps that it keeps. */
  readonly bitmaps: readonly number[];
  /** What is below, the lowest first. */
  readonly below: readonly BelowCase[];
  /** What each side does to its own image. */
  readonly first: ChangeList;
  /** What each side does to the other's. */
  readonly second: ChangeList;
}

const SECTOR = 512;

/** A case by chance. */
export function caseFrom(next: (below: number) => number): ImageCase {
  const sizeOf = () => (200 + next(3_000)) * SECTOR;
  const compat = next(4) === 0 ? "0.10" : "1.1";
  const isOld = compat === "0.10";
  const below = Array.from({ length: next(4) }, (_, index): BelowCase => ({
    format: index === 0 && next(2) === 0 ? "raw" : "qcow2",
    size: sizeOf(),
    seed: next(1_000_000),
  }));
  return {
    size: sizeOf(),
    clusterSize: 2 ** (9 + next(13)),
    compat,
    refcountBits: isOld || next(2) === 0 ? 16 : 2 ** next(7),
    lazyRefcounts: !isOld && next(4) === 0,
    bitmaps: isOld ? [] : Array.from({ length: next(4) }, () => 512 << next(10)),
    below,
    first: { seed: next(1_000_000), count: 10 + next(70) },
    second: { seed: next(1_000_000), count: 5 + next(40) },
  };
}

/** A case in words. */
export function nameOf(image: ImageCase): string {
  const { size, clusterSize, compat, refcountBits, bitmaps, below } = image;
  const chain = below.map((each) => `${each.format} of ${each.size} bytes`).join(", ");
  return `${size} bytes, compat ${compat}, clusters of ${clusterSize}, counts of ${refcountBits} ` +
    `bits, bitmaps of ${bitmaps.join(" and ") || "none"}, over ${chain || "nothing"}`;
}
