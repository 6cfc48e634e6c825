import { JoblogError } from "../../../events/log/errors.ts";
import { Edge } from "../../block/edge.ts";
import type { BlockNode } from "../../block/node.ts";
import type { JobNodes } from "../nodes.ts";
import { gateOf, type WriterGate } from "../backup/guests.ts";

/** Faults of a filter's name, which QEMU tells as those of the filter. */
const NAME_FAULTS: ReadonlySet<string> = new Set(["duplicateNode", "invalidNodeName"]);

/** Where a filter of a job is laid. */
export interface FilterPlace {
  /** The node that it is laid over. */
  readonly above: string;
  /** Name of the filter's driver. */
  readonly driver: "copy-before-write" | "copy-on-read";
  /** Its name. @default a generated one */
  readonly name?: string | undefined;
}

/**
 * The filter of a job above a node of the graph: there from the job's creation to its end, so that
 * nobody takes its name or its place; who comes through passes it untouched but for the time in
 * which the job copies.
 *
 * Source: QEMU 7.2 block/backup.c backup_job_create, backup_clean; block/copy-before-write.c
 * bdrv_cbw_append; block/stream.c stream_start; block/copy-on-read.c bdrv_cor_filter_append.
 */
export class LaidFilter implements WriterGate {
  readonly #nodes: JobNodes;
  readonly #gate: WriterGate;
  #name: string | undefined;

  private constructor(nodes: JobNodes, name: string, gate: WriterGate) {
    this.#nodes = nodes;
    this.#name = name;
    this.#gate = gate;
  }

  /**
   * Puts it above a node.
   *
   * @throws {JoblogError} code "openFailed" when its name is malformed or taken, or somebody
   * writes what parents see through the node; others as `JobNodes.insertFilter`
   */
  static async lay(
    nodes: JobNodes,
    { above, driver, name }: FilterPlace,
  ): Promise<LaidFilter> {
    const edges: Edge[] = [];
    try {
      const filter = await nodes.insertFilter({
        above,
        driver,
        ...(name === undefined ? {} : { name }),
        make(child) {
          // The way below is the graph's: it is closed there.
          const edge = new Edge(child, { release: () => {} });
          edges.push(edge);
          return edge;
        },
      });
      return new LaidFilter(nodes, filter, gateOf(edges[0]!));
    } catch (error) {
      if (!(error instanceof JoblogError)) throw error;
      // Whoever leads to the node is in the way of the filter, else the job is when it comes.
      if (error.code === "permissionConflict" && nodes.parents(above).length > 0) {
        const text = `Could not replace node: ${error.message}`;
        throw new JoblogError("openFailed", text, { subject: above, cause: error });
      }
      if (!NAME_FAULTS.has(error.code)) throw error;
      const text = `Could not create node: ${error.message}`;
      const hint = "Choose another name for the filter, or leave it out.";
      throw new JoblogError("openFailed", text, {
        subject: "filter-node-name",
        hint,
        cause: error,
      });
    }
  }

  /** Writers go through what is made here, from a moment on at which nothing is written. */
  async insert(make: (child: BlockNode) => BlockNode): Promise<void> {
    await this.#gate.insert(make);
  }

  /** Writers pass untouched again; the filter stays. Safe to call twice. */
  async remove(): Promise<void> {
    await this.#gate.remove();
  }

  /** Takes the filter out of the graph. Safe to call twice. */
  async close(): Promise<void> {
    await this.#gate.remove();
    const name = this.#name;
    this.#name = undefined;
    if (name !== undefined) await this.#nodes.removeFilter(name);
  }
}
