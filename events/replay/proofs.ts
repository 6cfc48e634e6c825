import { JoblogError } from "../log/errors.ts";
import { leafHash } from "../log/merkle.ts";
import { verifyConsistency, verifyInclusion } from "../log/proofs.ts";
import type { EventReader } from "../log/store.ts";

/** Size and root of a log's Merkle tree: what is kept elsewhere to detect a cut tail. */
export interface TreeHead {
  /** Number of records. */
  readonly size: number;
  /** Root of the tree over them, 64 lower-case hex digits. */
  readonly root: string;
}

/** A record with the proof that it is in a log of a size and root. Plain JSON. */
export interface RecordProof {
  /** Global position of the record. */
  readonly position: number;
  /** The exact stored text. */
  readonly text: string;
  /** The siblings on the way to the root, lowest first. */
  readonly siblings: readonly string[];
  /** The tree that it is in. */
  readonly head: TreeHead;
}

/** The proof that an older log is the beginning of a newer one. Plain JSON. */
export interface GrowthProof {
  /** The older tree. */
  readonly before: TreeHead;
  /** The newer tree. */
  readonly after: TreeHead;
  /** The hashes between them, lowest first. */
  readonly hashes: readonly string[];
}

/**
 * Size and root of the log as it is now.
 *
 * @param size a smaller size. @default the end
 */
export async function treeHead(reader: EventReader, size?: number): Promise<TreeHead> {
  const at = size ?? (await reader.end()).position;
  return { size: at, root: await reader.root(at) };
}

/**
 * Proves that the record at a position is in the log.
 *
 * @param position global position, 1 to `size`
 * @param size of the tree. @default the end
 * @throws {JoblogError} code "invalidArgument" when there is no such record
 */
export async function proveRecord(
  reader: EventReader,
  position: number,
  size?: number,
): Promise<RecordProof> {
  const head = await treeHead(reader, size);
  const siblings = await reader.inclusionProof(position, head.size);
  for await (const row of reader.readStored(position, position)) {
    return { position, text: row.text, siblings, head };
  }
  throw new JoblogError("invalidArgument", `Cannot prove position ${position}: no such record`, {
    expected: `1 to ${head.size}`,
    actual: position,
  });
}

/** Whether the proof holds; needs no log. Trust in it is trust in its tree head. */
export function checkRecordProof({ position, text, siblings, head }: RecordProof): boolean {
  const leaf = leafHash(text);
  return verifyInclusion({ leaf, index: position - 1, proof: siblings, ...head });
}

/**
 * Proves that an older tree head is the beginning of the log as it is now.
 *
 * @param size of the older tree, 0 to the end
 * @throws {JoblogError} code "invalidArgument" when the log is smaller
 */
export async function proveGrowth(
  reader: EventReader,
  size: number,
  laterSize?: number,
): Promise<GrowthProof> {
  const after = await treeHead(reader, laterSize);
  const before = await treeHead(reader, size);
  return { before, after, hashes: await reader.consistencyProof(size, after.size) };
}

/** Whether the proof holds; needs no log. */
export function checkGrowthProof({ before, after, hashes }: GrowthProof): boolean {
  return verifyConsistency({
    first: before.size,
    second: after.size,
    firstRoot: before.root,
    secondRoot: after.root,
    proof: hashes,
  });
}
