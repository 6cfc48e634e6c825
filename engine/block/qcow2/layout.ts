/**
 * Numbers of the qcow2 format: where a field lies, what a bit means, how large a thing may be.
 *
 * Everything else in this folder speaks of them by name. FORMAT.md explains them.
 * Source: QEMU docs/interop/qcow2.txt; the limits are those of QEMU 7.2 block/qcow2.h.
 */

/** First four bytes of a file: `QFI` and 0xfb. */
export const MAGIC = 0x5146_49fb;

/** Where each field of the header starts, in bytes. */
export const FIELD = {
  magic: 0,
  version: 4,
  backingOffset: 8,
  backingSize: 16,
  clusterBits: 20,
  size: 24,
  cryptMethod: 32,
  l1Size: 36,
  l1Offset: 40,
  refcountTableOffset: 48,
  refcountTableClusters: 56,
  snapshotCount: 60,
  snapshotOffset: 64,
  incompatible: 72,
  compatible: 80,
  autoclear: 88,
  refcountOrder: 96,
  headerLength: 100,
  compressionType: 104,
} as const;

/** Bytes of a version 2 header. */
export const HEADER_BYTES_V2 = 72;
/** Bytes of the shortest version 3 header. */
export const HEADER_BYTES_V3 = 104;
/** Bytes of the version 3 headers that this program writes. */
export const HEADER_BYTES_WRITTEN = 112;

/** Incompatible features, by name: a reader that does not know one must refuse the image. */
export const INCOMPATIBLE = {
  dirty: 1n,
  corrupt: 2n,
  externalData: 4n,
  compressionType: 8n,
  extendedL2: 16n,
} as const;

/** Compatible feature: refcounts may be written late, as long as `dirty` says so. */
export const COMPATIBLE_LAZY_REFCOUNTS = 1n;
/** Autoclear feature: the bitmaps in the file are up to date. */
export const AUTOCLEAR_BITMAPS = 1n;

/** Types of header extensions. */
export const EXTENSION = {
  end: 0,
  backingFormat: 0xe279_2aca,
  featureNames: 0x6803_f857,
  bitmaps: 0x2385_2875,
  encryption: 0x0537_be77,
  dataFile: 0x4441_5441,
} as const;

/** Smallest and largest cluster, as powers of two: 512 bytes and 2 MiB. */
export const CLUSTER_BITS_MIN = 9;
/** Largest cluster, as a power of two: 2 MiB. */
export const CLUSTER_BITS_MAX = 21;
/** Largest L1 table in bytes. */
export const L1_BYTES_MAX = 33_554_432;
/** Largest refcount table in bytes. */
export const REFCOUNT_TABLE_BYTES_MAX = 8_388_608;
/** Longest name of a backing file in bytes. */
export const BACKING_NAME_BYTES_MAX = 1_023;
/** Most internal snapshots. */
export const SNAPSHOT_COUNT_MAX = 65_536;
/** Largest refcount width, as a power of two: 64 bits. */
export const REFCOUNT_ORDER_MAX = 6;
/** Unit in which the length of a compressed cluster is kept. */
export const SECTOR_BYTES = 512;
