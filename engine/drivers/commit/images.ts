/**
 * What a commit of inner layers works on, however they were opened: by path, or by name from the
 * graph.
 */

import type { BlockNode } from "../../block/node.ts";
import type { BackingReference } from "../../block/qcow2/mod.ts";
import type { ChainLayer } from "../chain/layer.ts";
import type { RecordChanges } from "../nodes.ts";

/** An image that lies directly above what is committed. */
export interface CommitOverlay {
  /** Its name. */
  readonly name: string;
  /** What its header says. */
  reference(): BackingReference | undefined;
  /** Makes it name the base, durably. */
  rewrite(reference: BackingReference): Promise<void>;
}

/** What a commit asks of its chain. */
export interface CommitImages {
  /** Name of the top. */
  readonly name: string;
  /** The top, read through its chain. */
  readonly top: BlockNode;
  /** What is committed, the top first, without the base. */
  readonly layers: readonly ChainLayer[];
  /** True if the base may not be written when this is made. */
  readonly wasReadOnly: boolean;
  /** Makes the base writable; called once by `run`. */
  openBase(): Promise<BlockNode>;
  /** What the headers of the overlays are to say. */
  readonly goal: BackingReference;
  /** Those overlays, as things are now. */
  overlays(): readonly CommitOverlay[];
  /** Leads them past what was committed, to the base; recorded by `confirm`. Safe to call twice. */
  relink(confirm: RecordChanges): Promise<void>;
  /** Takes the filter out, and lets the base be as it was before. Safe to call twice. */
  restore(wasReadOnly: boolean): Promise<void>;
  /** Lets go of everything. Safe to call twice. */
  close(): Promise<void>;
}
