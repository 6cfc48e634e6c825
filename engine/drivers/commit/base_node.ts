import type { Edge } from "../../block/edge.ts";
import type { BlockNode } from "../../block/node.ts";
import { imageOf } from "../chain/nodes.ts";
import type { JobNodes } from "../nodes.ts";

/**
 * The node that a commit writes into: writable from `open` on, read-only again after `restore`.
 *
 * Source: QEMU 7.2 block/commit.c commit_start, commit_clean.
 */
export class BaseNode {
  /** Its name. */
  readonly name: string;
  /** True if it could not be written when this was made. */
  readonly wasReadOnly: boolean;
  readonly #nodes: JobNodes;
  #edge: Edge | undefined;

  /** The caller holds it. */
  constructor(nodes: JobNodes, name: string) {
    this.name = name;
    this.#nodes = nodes;
    this.wasReadOnly = nodes.find(name).isReadOnly;
  }

  /** Bytes that it gives out at once. */
  get clusterSize(): number {
    const image = imageOf(this.#nodes, this.name);
    return image === undefined ? 1 : 2 ** image.header.clusterBits;
  }

  /**
   * Checks, once the job's filter is there, that it may be written; takes the filter out if not.
   *
   * @throws {JoblogError} code "permissionConflict" with QEMU's text
   */
  async admit(filter: string): Promise<void> {
    try {
      this.#nodes.checkWriter(this.name);
    } catch (error) {
      await this.#nodes.removeFilter(filter);
      throw error;
    }
  }

  /**
   * Makes it writable.
   *
   * @throws {JoblogError} code "nodeReadOnly" when its file cannot be written
   */
  async open(): Promise<BlockNode> {
    if (this.#edge !== undefined) return this.#edge;
    if (this.#nodes.find(this.name).isReadOnly) await this.#nodes.setReadOnly(this.name, false);
    return this.#edge = this.#nodes.attach(this.name, "write");
  }

  /** Lets it be as it was. Safe to call twice. */
  async restore(wasReadOnly: boolean): Promise<void> {
    await this.close();
    const isReadOnly = this.#nodes.find(this.name).isReadOnly;
    if (wasReadOnly && !isReadOnly) await this.#nodes.setReadOnly(this.name, true);
  }

  /** Nothing is written any more. */
  async close(): Promise<void> {
    const edge = this.#edge;
    this.#edge = undefined;
    await edge?.close();
  }
}
