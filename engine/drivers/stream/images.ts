/**
 * What a stream works on: a layer that is filled, the layers that it is filled from, and what
 * becomes of the chain at the end. However they were opened: by path, or by name from the graph.
 */

import type { BlockNode } from "../../block/node.ts";
import type { BackingReference, LayerExtent } from "../../block/qcow2/mod.ts";
import type { WriterGate } from "../backup/guests.ts";
import type { ChainLayer } from "../chain/layer.ts";
import type { RecordChanges } from "../nodes.ts";

/** What a stream asks of its chain. */
export interface StreamImages {
  /** Name of the layer that is filled. */
  readonly name: string;
  /** Where those who use that layer come in. */
  readonly gate: WriterGate;
  /** The layer: read through its chain, written itself. */
  readonly top: BlockNode;
  /** True if the opening made a layer writable that was not. */
  readonly wasReadOnly: boolean;
  /** Makes it read-only again. */
  restore(): Promise<void>;
  /** What the layer holds itself; absent: it holds all of its bytes, and has nothing below. */
  readonly topExtent?:
    | ((offset: number, length: number) => Promise<LayerExtent>)
    | undefined;
  /** Bytes that the layer gives out at once: 1 or more. */
  readonly cluster: number;
  /** What is copied up, the upper layer first; may be none. */
  readonly between: readonly ChainLayer[];
  /** What stays below at the end, for looking at; undefined = nothing does. */
  readonly base: BlockNode | undefined;
  /** What the header of the layer says. */
  reference(): BackingReference | undefined;
  /** What the header is to say, as the chain is now. */
  goal(): BackingReference | undefined;
  /** Makes the header say so, durably, with everything written before. */
  rewrite(reference: BackingReference | undefined): Promise<void>;
  /** Leads the layer past what was copied up; recorded by `confirm`. Safe to call twice. */
  relink(confirm: RecordChanges): Promise<void>;
  /** Lets go of everything. Safe to call twice. */
  close(): Promise<void>;
}
