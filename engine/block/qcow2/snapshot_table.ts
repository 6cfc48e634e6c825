/** The table of internal snapshots, as far as a check needs it: which L1 tables they have. */

import { corrupt } from "./failures.ts";
import type { Qcow2Image } from "./image.ts";
import { readU64, roundUp, viewOf } from "./words.ts";

/** The L1 table of one snapshot. */
export interface SnapshotL1 {
  /** Where it starts in the file. */
  readonly offset: number;
  /** How many entries it has. */
  readonly entryCount: number;
}

/** All snapshots, and how many bytes their table has. */
export interface SnapshotTable {
  /** In the order of the table. */
  readonly snapshots: readonly SnapshotL1[];
  /** Bytes from the start of the table to its end. */
  readonly bytes: number;
}

/** Bytes of an entry before its parts of varying length. */
const ENTRY_BYTES = 40;
/** Most additional bytes that an entry may have. Source: QEMU 7.2 block/qcow2.h. */
const EXTRA_BYTES_MAX = 1_024;

/**
 * Reads the table.
 *
 * @throws {BlockError} EIO when it breaks the format
 */
export async function readSnapshotTable(image: Qcow2Image): Promise<SnapshotTable> {
  const { snapshotOffset, snapshotCount } = image.header;
  const snapshots: SnapshotL1[] = [];
  const entry = new Uint8Array(ENTRY_BYTES);
  let at = snapshotOffset;
  for (let index = 0; index < snapshotCount; index++) {
    if (at + ENTRY_BYTES > image.file.size) {
      throw corrupt(image.name, "read", "its table of snapshots does not lie inside the file");
    }
    await image.file.read(at, entry);
    const view = viewOf(entry);
    const extra = view.getUint32(36);
    if (extra > EXTRA_BYTES_MAX) {
      throw corrupt(image.name, "read", `snapshot ${index} has too many additional bytes`);
    }
    snapshots.push({ offset: readU64(view, 0), entryCount: view.getUint32(8) });
    at += roundUp(ENTRY_BYTES + extra + view.getUint16(12) + view.getUint16(14), 8);
  }
  return { snapshots, bytes: at - snapshotOffset };
}
