/**
 * What a mirror works on: a source that others may write meanwhile, a target, and what becomes of
 * them on completion. However they were opened: by path here, by name from a graph of nodes.
 */

import type { DrainedEdge, Edge } from "../../block/edge.ts";
import type { BlockNode, Extent } from "../../block/node.ts";
import type { ClosingContext } from "../driver.ts";
import type { RecordChanges } from "../nodes.ts";

/** The target, once there is an image to write to. */
export interface MirrorTarget {
  /** What is written. */
  readonly node: BlockNode;
  /** True if it reads as zeros all over. */
  readonly isBlank: boolean;
  /**
   * True if what needs no copying because both are blank counts as copied, as it does in QEMU: if
   * the job did not make the target, or a raw image is below the source. @default false
   */
  readonly areHolesCounted?: boolean;
  /** Bytes that it gives out at once; 1 = it has no clusters. */
  readonly clusterSize: number;
  /**
   * True if its header names a backing file that is not open: what is written must be whole
   * clusters, since the rest of one would hide what is to show through. @default false
   */
  readonly isDetached?: boolean;
}

/** The source, and what the job may ask about it. */
export interface MirrorSource {
  /** Where everybody who writes the source comes in; the job lays its filter below it. */
  readonly edge: Edge;
  /** The map of the whole source; absent if looking at it means reading it. */
  readonly extent?: ((offset: number, length: number) => Promise<Extent>) | undefined;
  /** What the top of its chain holds itself; absent if it cannot say that. */
  readonly topExtent?:
    | ((offset: number, length: number) => Promise<Extent & { readonly isAllocated: boolean }>)
    | undefined;
}

/** Both images in the hands of one job. */
export interface MirrorImages {
  /** The source. */
  readonly source: MirrorSource;
  /** Name of what the target takes the place of on completion. */
  readonly replaced: string;
  /**
   * Makes the target if it is to be made, and opens it. Called once by `run`, or, in a later
   * process, once by `prepare`.
   *
   * @param isBegun true if an earlier `run` has left a checkpoint: the target must be there
   * @throws {BlockError} EIO when it is not
   */
  openTarget(context: ClosingContext, isBegun: boolean): Promise<MirrorTarget>;
  /** True if an earlier process has done so already, and durably. @default false */
  readonly isPivoted?: boolean;
  /**
   * Puts the target in the place of `replaced`. Called while the source is drained; once more after
   * a crash, unless `isPivoted`. Changes of a graph of nodes are recorded by `confirm`.
   *
   * @throws {BlockError} EPERM when it cannot be replaced any more
   */
  pivot(source: DrainedEdge, target: BlockNode, confirm: RecordChanges): Promise<void> | void;
  /** Takes out what was put in between the writers and the source. Safe to call twice. */
  removeFilter?(): Promise<void>;
  /** Why `complete` cannot be accepted now; undefined = it can. */
  completeRefusal?(): string | undefined;
  /** Complete was accepted: what is to be replaced is nobody else's from here on. */
  complete?(): void;
  /** Lets go of both. What was made for a job that never ran is removed. */
  close(hasRun: boolean): Promise<void>;
}

/** True if an image's map shows that it reads as zeros. Not for raw files: they would be read. */
export async function isOneHole(image: BlockNode): Promise<boolean> {
  if (image.size === 0) return false;
  const { kind, length } = await image.extent(0, image.size);
  return kind === "hole" && length === image.size;
}
