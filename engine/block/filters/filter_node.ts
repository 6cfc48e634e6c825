/**
 * What all filters have in common: they show another node.
 *
 * - Everything goes on to the child as it is; a filter overrides what it cares about.
 * - A filter comes and goes with the edge above it, and is never closed for that.
 *
 * May be extended by the files of this folder and by whoever builds graphs of nodes.
 */

import type { DebugEvent } from "../debug_events.ts";
import type { BlockNode, Extent, LentRange, Loan } from "../node.ts";

/**
 * A node that shows another one: every request goes on to it as it is.
 *
 * Filters override what they care about. `copyRange`, `lend` and `writeCompressed` are left out on
 * purpose: a filter that does not speak of them sees every byte that is read or written.
 */
export abstract class FilterNode implements BlockNode {
  /** The node that is shown. */
  readonly child: BlockNode;

  /** @param child usually an edge, so that it can be exchanged, too */
  constructor(child: BlockNode) {
    this.child = child;
  }

  /** Name of the child. */
  get name(): string {
    return this.child.name;
  }

  /** Identity of the child: a filter shows the same bytes. */
  get identity(): string {
    return this.child.identity;
  }

  /** Size of the child. */
  get size(): number {
    return this.child.size;
  }

  /** True if the child is read-only. */
  get isReadOnly(): boolean {
    return this.child.isReadOnly;
  }

  /** {@inheritDoc BlockNode.read} */
  read(offset: number, bytes: Uint8Array): Promise<void> {
    return this.child.read(offset, bytes);
  }

  /** {@inheritDoc BlockNode.write} */
  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.child.write(offset, bytes);
  }

  /** {@inheritDoc BlockNode.zero} */
  zero(offset: number, length: number): Promise<void> {
    return this.child.zero(offset, length);
  }

  /** {@inheritDoc BlockNode.discard} */
  discard(offset: number, length: number): Promise<void> {
    return this.child.discard(offset, length);
  }

  /** {@inheritDoc BlockNode.flush} */
  flush(): Promise<void> {
    return this.child.flush();
  }

  /** {@inheritDoc BlockNode.extent} */
  extent(offset: number, length: number): Promise<Extent> {
    return this.child.extent(offset, length);
  }

  /** {@inheritDoc BlockNode.truncate} */
  truncate(size: number): Promise<void> {
    return this.child.truncate(size);
  }

  /** {@inheritDoc BlockNode.measure} */
  measure(): Promise<number> {
    return this.child.measure();
  }

  /** {@inheritDoc BlockNode.stamp} */
  stamp(): Promise<string | undefined> {
    return this.child.stamp();
  }

  /** Lends the child: for filters that do not care who reads. */
  protected async lendChild(
    offset: number,
    length: number,
    use: (range: LentRange) => Promise<void>,
  ): Promise<Loan> {
    await use({ node: this.child, offset, length });
    return { length, isUsed: true };
  }

  /** Passes on what the node above is about to do. */
  debugEvent(event: DebugEvent): void {
    this.child.debugEvent?.(event);
  }

  /** Closes the child. A filter that is taken out of a chain is dropped, not closed. */
  close(): Promise<void> {
    return this.child.close();
  }
}
