/**
 * The Merkle tree over the records of a log: hashes, roots and the growing right edge.
 *
 * The tree is that of RFC 6962, section 2.1: a leaf hashes 0x00 and the record's bytes, a node
 * hashes 0x01 and its two children, and a list is split at the largest power of two below its
 * length. Hashes cross every interface as 64 lower-case hex digits.
 *
 * ```text
 *   size 7                 h(0..7)
 *                     /             \
 *               h(0..4)              h(4..7)      a Frontier of size 7 keeps the three
 *              /      \             /      \      complete subtrees h(0..4), h(4..6), h(6..7):
 *           h(0..2)  h(2..4)    h(4..6)  h(6..7)  one for each bit that is set in 7
 * ```
 *
 * Subtrees of 256^level leaves are aligned and complete, so they never change once they are full;
 * the appender stores each as a row. Leaf indexes here are 0-based: position - 1.
 *
 * Imports node:crypto only. Called by the appender, the readers and the verifier.
 * Source: RFC 6962, section 2.1; DESIGN.md, The log, Tamper evidence.
 */
import { createHash, hash } from "node:crypto";
import type { SubtreeRow } from "./backend.ts";

/** Root of the tree over no records: SHA-256 of nothing. */
export const EMPTY_ROOT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/** Leaves below one subtree row of level 1; level n holds this number to the power of n. */
export const SUBTREE_LEAVES = 256;
/** Tree levels between two levels of stored subtrees. */
const SUBTREE_HEIGHT = 8;

/** What stands before a record's text where it is hashed: the byte 0x00. */
export const LEAF_MARK = "\u0000";

/** SHA-256(UTF-8 bytes of a text that begins with `LEAF_MARK`), as 64 lower-case hex digits. */
export function hashMarked(marked: string): string {
  return hash("sha256", marked, "hex");
}

/** SHA-256(0x00 || UTF-8 bytes of the text), as 64 lower-case hex digits. */
export function leafHash(text: string): string {
  return hashMarked(LEAF_MARK + text);
}

/** SHA-256(0x00 || bytes), as 64 lower-case hex digits: for bytes that may be no UTF-8. */
export function leafHashOfBytes(bytes: Uint8Array): string {
  return createHash("sha256").update("\u0000").update(bytes).digest("hex");
}

const HEX_VALUE = new Uint8Array(128);
for (let i = 0; i < 16; i++) HEX_VALUE["0123456789abcdef".charCodeAt(i)] = i;
const nodeInput = new Uint8Array(65);
nodeInput[0] = 1;

// Parsing the digits here is four times faster on Deno than handing hex text to the hash.
function writeHex(hex: string, offset: number): void {
  for (let i = 0; i < 64; i += 2) {
    nodeInput[offset++] = HEX_VALUE[hex.charCodeAt(i)]! << 4 | HEX_VALUE[hex.charCodeAt(i + 1)]!;
  }
}

/** SHA-256(0x01 || left || right), as 64 lower-case hex digits. */
export function nodeHash(left: string, right: string): string {
  writeHex(left, 1);
  writeHex(right, 33);
  return hash("sha256", nodeInput, "hex");
}

/** Root of the tree over a list of leaf hashes. */
export function rootOf(leaves: readonly string[]): string {
  const frontier = new Frontier();
  for (const leaf of leaves) frontier.push(leaf, 0);
  return frontier.root();
}

/**
 * The right edge of a growing tree: one hash for each complete subtree that is not part of a
 * larger one, which is all that is needed to go on and to know the root.
 *
 * @example The root grows with the leaves
 * ```ts
 * import { Frontier, leafHash, rootOf } from "./merkle.ts";
 * const frontier = new Frontier();
 * frontier.push(leafHash("a"), 0);
 * frontier.push(leafHash("b"), 0);
 * if (frontier.root() !== rootOf([leafHash("a"), leafHash("b")])) throw new Error("differs");
 * ```
 */
export class Frontier {
  /** The complete subtree of 2^height leaves at each height, if that bit of the size is set. */
  readonly #edge: (string | undefined)[] = [];
  #size = 0;

  /** How many leaves are in. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a leaf, or a complete subtree of 2^height leaves.
   *
   * @param hash the leaf hash or the subtree's root
   * @param height 0 for a leaf; the size must be a multiple of 2^height
   * @param completed receives each subtree of 256^level leaves that this one fills
   */
  push(hash: string, height: number, completed?: SubtreeRow[]): void {
    const edge = this.#edge;
    const end = this.#size + 2 ** height;
    let node = hash;
    let at = height;
    for (let left = edge[at]; left !== undefined; left = edge[at]) {
      node = nodeHash(left, node);
      edge[at] = undefined;
      at++;
      if (completed !== undefined && at % SUBTREE_HEIGHT === 0) {
        completed.push({ level: at / SUBTREE_HEIGHT, index: end / 2 ** at - 1, hash: node });
      }
    }
    edge[at] = node;
    this.#size = end;
  }

  /** Root of the tree over everything pushed so far. */
  root(): string {
    let root: string | undefined;
    for (const node of this.#edge) {
      if (node === undefined) continue;
      root = root === undefined ? node : nodeHash(node, root);
    }
    return root ?? EMPTY_ROOT;
  }
}

/**
 * Where the hashes of a tree come from: a backend, or an export.
 *
 * `leaves` takes positions (1-based, inclusive); `subtrees` takes 0-based inclusive indexes.
 */
export interface HashSource {
  /** Leaf hashes of the positions `from` to `to`, ascending. */
  leaves(from: number, to: number): Promise<readonly string[]>;
  /** Stored subtrees of one level with `from` <= index <= `to`, ascending. */
  subtrees(level: number, from: number, to: number): Promise<readonly SubtreeRow[]>;
}
