/**
 * The open nodes of a running engine, for fronts that keep connections.
 *
 * Every command leaves one record; its text is QEMU's.
 */
import type { CommandContext, Joblog } from "../../engine/run/mod.ts";
import { definitionOf, filteredRole, isFilter, type NodeInfo } from "../../engine/graph/mod.ts";
import type { JsonObject } from "../../events/log/event.ts";

/** A bitmap of a node. */
export interface BitmapTarget {
  /** The node. */
  readonly node: string;
  /** Its bitmap. */
  readonly bitmap: string;
}

function namedFile(node: NodeInfo | undefined): string | undefined {
  const { filename } = node?.options ?? {};
  return typeof filename === "string" ? filename : node?.path ?? undefined;
}

/** A node as it stands. */
export interface LiveNode extends NodeInfo {
  /** File that it is, or that it lies in directly, as it was named; undefined = none. */
  readonly filePath: string | undefined;
  /** Nodes below it that it filters or overlays, one under the other. */
  readonly depth: number;
  /** File of the next of them; undefined = none. */
  readonly backingPath: string | undefined;
}

/** See the head of this file. */
export class LiveNodes {
  readonly #joblog: Joblog;

  /** @param joblog the engine of this process */
  constructor(joblog: Joblog) {
    this.#joblog = joblog;
  }

  /**
   * Checks the definition of a node, and adds none.
   *
   * @param path what stands before the names of its fields in texts, as `options.file.`
   * @throws {JoblogError} code "invalidParameter" with QEMU's text
   */
  check(definition: unknown, path: string): void {
    definitionOf(definition, path);
  }

  /** All nodes, newest first, without those of jobs that have ended. */
  async list(): Promise<readonly LiveNode[]> {
    await this.#joblog.nodes.settled();
    const nodes = this.#joblog.nodes.list();
    const byName = new Map(nodes.map((node) => [node.name, node]));
    const below = (node: NodeInfo) => {
      const role = isFilter(node.driver) ? filteredRole(node) : "backing";
      return byName.get(node.children[role] ?? "");
    };
    // A format is known by the file that it lies in, as its user named that.
    const fileOf = (node: NodeInfo) =>
      namedFile(node) ?? namedFile(byName.get(node.children["file"] ?? ""));
    return nodes.toReversed().map((node) => {
      let depth = 0;
      for (let next = below(node); next !== undefined; next = below(next)) depth += 1;
      const first = below(node);
      return { ...node, depth, filePath: fileOf(node), backingPath: first && fileOf(first) };
    });
  }

  /** Opens a node by QEMU's option object. */
  async add(options: JsonObject, context: CommandContext): Promise<void> {
    await this.#joblog.nodes.add(options, context);
  }

  /** Closes a node. */
  async remove(name: string, context: CommandContext): Promise<void> {
    await this.#joblog.nodes.remove(name, context);
  }

  /** Gives nodes other options. */
  async reopen(options: readonly JsonObject[], context: CommandContext): Promise<void> {
    await this.#joblog.nodes.reopen(options, context);
  }

  /** Adds a bitmap. */
  async addBitmap(
    target: BitmapTarget,
    options: {
      readonly granularity?: number;
      readonly persistent?: boolean;
      readonly disabled?: boolean;
    },
    context: CommandContext,
  ): Promise<void> {
    await this.#joblog.nodes.addBitmap({ ...target, ...options }, context);
  }

  /** Removes, clears, enables or disables one. */
  async bitmap(
    verb: "remove" | "clear" | "enable" | "disable",
    target: BitmapTarget,
    context: CommandContext,
  ): Promise<void> {
    await this.#joblog.nodes.bitmap(verb, target, context);
  }

  /** Sets the bits of some bitmaps in another one. */
  async mergeBitmaps(
    target: BitmapTarget,
    sources: readonly (string | BitmapTarget)[],
    context: CommandContext,
  ): Promise<void> {
    await this.#joblog.nodes.mergeBitmaps(target, sources, context);
  }
}
