/**
 * Roots and proofs at any size, read from stored leaves and subtrees, and their verification.
 *
 * Invariants:
 *
 * - a root or a proof reads at most a few hundred hashes for each level of subtrees, whatever the
 *   size of the log;
 * - verification is pure: it needs no log, only the numbers and hashes that it is given.
 *
 * Called by the readers (`root`, proofs) and by whoever checks a log from outside.
 * Source: RFC 6962, section 2.1.1 and 2.1.2; RFC 9162, section 2.1.3.2 and 2.1.4.2.
 */
import { JoblogError } from "./errors.ts";
import { EMPTY_ROOT, Frontier, type HashSource, nodeHash, SUBTREE_LEAVES } from "./merkle.ts";

/** Largest power of two that is smaller than `size`; `size` is 2 or more. */
function split(size: number): number {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}

async function readRun(
  source: HashSource,
  level: number,
  first: number,
  count: number,
): Promise<readonly string[]> {
  if (level === 0) {
    const leaves = await source.leaves(first + 1, first + count);
    if (leaves.length === count) return leaves;
    throw missing(`leaves ${first + 1} to ${first + count}`);
  }
  const rows = await source.subtrees(level, first, first + count - 1);
  if (rows.length !== count || rows.some((row, i) => row.index !== first + i)) {
    throw missing(`subtrees ${first} to ${first + count - 1} of level ${level}`);
  }
  return rows.map((row) => row.hash);
}

function missing(what: string): JoblogError<"logDamaged"> {
  return new JoblogError("logDamaged", `Cannot compute a tree hash: ${what} are not all stored`, {
    hint: "Verify the log to find every fault, and restore it from a copy.",
  });
}

/**
 * The right edge of the tree over the leaves `start` (inclusive) to `end` (exclusive), read from
 * the largest stored pieces. `start` is 0 or a multiple of the range's length rounded up to a
 * power of two, as every range of RFC 6962 is.
 *
 * @throws {JoblogError} code "logDamaged" when hashes are missing
 */
export async function readFrontier(
  source: HashSource,
  start: number,
  end: number,
): Promise<Frontier> {
  const frontier = new Frontier();
  let at = start;
  while (at < end) {
    let level = 0;
    let width = 1;
    while (at % (width * SUBTREE_LEAVES) === 0 && at + width * SUBTREE_LEAVES <= end) {
      width *= SUBTREE_LEAVES;
      level++;
    }
    const first = at / width;
    const toNextLevel = SUBTREE_LEAVES - first % SUBTREE_LEAVES;
    const count = Math.min(toNextLevel, Math.floor((end - at) / width));
    for (const hash of await readRun(source, level, first, count)) frontier.push(hash, level * 8);
    at += count * width;
  }
  return frontier;
}

/** Root of the tree over the first `size` records; 0 gives the root of the empty tree. */
export async function rootAt(source: HashSource, size: number): Promise<string> {
  return size === 0 ? EMPTY_ROOT : (await readFrontier(source, 0, size)).root();
}

async function rangeHash(source: HashSource, start: number, end: number): Promise<string> {
  return (await readFrontier(source, start, end)).root();
}

function refuse(what: string, value: number, range: string): JoblogError<"invalidArgument"> {
  return new JoblogError("invalidArgument", `Cannot prove ${what} ${value}: it is not ${range}`, {
    expected: range,
    actual: value,
  });
}

/**
 * Proves that a leaf is in the tree of a size: the siblings on the way from the leaf to the root,
 * lowest first.
 *
 * @param index 0-based index of the leaf: its position - 1
 * @param size size of the tree, more than `index`
 * @throws {JoblogError} code "invalidArgument" when the index is not within the size
 */
export async function inclusionProof(
  source: HashSource,
  index: number,
  size: number,
): Promise<readonly string[]> {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw refuse("the inclusion of leaf", index, `an integer from 0 to ${size - 1}`);
  }
  const siblings: string[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + split(end - start);
    if (index < middle) {
      siblings.push(await rangeHash(source, middle, end));
      end = middle;
    } else {
      siblings.push(await rangeHash(source, start, middle));
      start = middle;
    }
  }
  return siblings.reverse();
}

/**
 * Proves that the tree of `first` records is the beginning of the tree of `second` records.
 *
 * @param first size of the older tree, 0 to `second`
 * @param second size of the newer tree
 * @returns hashes, lowest first; empty when `first` is 0 or equals `second`
 * @throws {JoblogError} code "invalidArgument" when `first` is not within the range
 */
export async function consistencyProof(
  source: HashSource,
  first: number,
  second: number,
): Promise<readonly string[]> {
  if (!Number.isSafeInteger(first) || first < 0 || first > second) {
    throw refuse("the consistency of size", first, `an integer from 0 to ${second}`);
  }
  if (first === 0 || first === second) return [];
  const hashes: string[] = [];
  let start = 0;
  let end = second;
  let known = true; // whether the verifier has the hash of the range already: the older root
  while (first !== end) {
    const middle = start + split(end - start);
    if (first <= middle) {
      hashes.push(await rangeHash(source, middle, end));
      end = middle;
    } else {
      hashes.push(await rangeHash(source, start, middle));
      start = middle;
      known = false;
    }
  }
  if (!known) hashes.push(await rangeHash(source, start, end));
  return hashes.reverse();
}

/** What an inclusion proof claims. */
export interface InclusionClaim {
  /** Leaf hash, 64 lower-case hex digits. */
  readonly leaf: string;
  /** 0-based index of the leaf: its position - 1. */
  readonly index: number;
  /** Size of the tree. */
  readonly size: number;
  /** Root of the tree. */
  readonly root: string;
  /** The siblings, lowest first. */
  readonly proof: readonly string[];
}

/** Whether the proof shows that the leaf is in the tree with that root. */
export function verifyInclusion(claim: InclusionClaim): boolean {
  const { leaf, index, size, root, proof } = claim;
  if (!isIndex(index) || !isIndex(size) || index >= size || !areHashes([leaf, root, ...proof])) {
    return false;
  }
  return climb(index, size - 1, leaf, proof)?.newer === root;
}

/**
 * Climbs from a node to the root of its tree, from sibling to sibling.
 *
 * @param start index of the node among those of its height
 * @param end index of the last of them
 * @returns the root of the tree, and that of the tree that ends with the node; undefined when the
 * siblings are too few or too many
 */
function climb(
  start: number,
  end: number,
  seed: string,
  siblings: readonly string[],
): { readonly older: string; readonly newer: string } | undefined {
  let node = start;
  let last = end;
  let older = seed;
  let newer = seed;
  for (const sibling of siblings) {
    if (last === 0) return undefined;
    if (node % 2 === 1 || node === last) {
      older = nodeHash(sibling, older);
      newer = nodeHash(sibling, newer);
      // A last node without a right sibling rises until it is somebody's right child.
      while (node % 2 === 0 && node !== 0) {
        node = node / 2;
        last = Math.floor(last / 2);
      }
    } else {
      newer = nodeHash(newer, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? { older, newer } : undefined;
}

/** What a consistency proof claims. */
export interface ConsistencyClaim {
  /** Size of the older tree. */
  readonly first: number;
  /** Size of the newer tree. */
  readonly second: number;
  /** Root of the older tree. */
  readonly firstRoot: string;
  /** Root of the newer tree. */
  readonly secondRoot: string;
  /** The hashes, lowest first. */
  readonly proof: readonly string[];
}

/** Whether the proof shows that the newer tree begins with the older one. */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { first, second, firstRoot, secondRoot, proof } = claim;
  if (!isIndex(first) || !isIndex(second) || first > second) return false;
  if (!areHashes([firstRoot, secondRoot, ...proof])) return false;
  if (first === second) return proof.length === 0 && firstRoot === secondRoot;
  if (first === 0) return proof.length === 0 && firstRoot === EMPTY_ROOT;
  let node = first - 1;
  let last = second - 1;
  while (node % 2 === 1) {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  // A power of two is a complete subtree: its root is the seed and is not in the proof.
  const [seed, ...siblings] = node === 0 ? [firstRoot, ...proof] : proof;
  if (seed === undefined) return false;
  const roots = climb(node, last, seed, siblings);
  return roots?.older === firstRoot && roots.newer === secondRoot;
}

function isIndex(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

const HASH = /^[0-9a-f]{64}$/;

function areHashes(values: readonly string[]): boolean {
  return values.every((value) => HASH.test(value));
}
