/**
 * A node that fails when its rules say so, and counts what is asked of it.
 *
 * Faults are errors of the same shape as real ones. A rule's count runs over the whole life of the
 * node, so that "the third write" is the third in any pass.
 */

import { BlockError, type BlockOperation } from "../../engine/block/errors.ts";
import type { BlockNode, Extent } from "../../engine/block/node.ts";

/** What may be made to fail. A copy between nodes counts as a write of its target. */
export type FaultySite = "read" | "write" | "zero" | "flush" | "extent" | "measure";

/** Says whether the n-th call (from 1 on) fails, and with which errno. */
export type FaultRule = (site: FaultySite, count: number) => string | undefined;

/** Fails exactly one call. */
export function failOnce(site: FaultySite, count: number, code = "EIO"): FaultRule {
  return (asked, now) => asked === site && now === count ? code : undefined;
}

/** A node around another. */
export class FaultyNode implements BlockNode {
  readonly counts = new Map<FaultySite, number>();
  readonly #inner: BlockNode;
  readonly #rule: FaultRule;
  readonly #before: (site: FaultySite, count: number) => Promise<void> | void;

  /**
   * @param inner the node that does the work
   * @param rule which calls fail
   * @param before called before each call, to wait or to change something there
   */
  constructor(
    inner: BlockNode,
    rule: FaultRule = () => undefined,
    before: (site: FaultySite, count: number) => Promise<void> | void = () => {},
  ) {
    this.#inner = inner;
    this.#rule = rule;
    this.#before = before;
  }

  get name(): string {
    return this.#inner.name;
  }
  get identity(): string {
    return this.#inner.identity;
  }
  get size(): number {
    return this.#inner.size;
  }
  get isReadOnly(): boolean {
    return this.#inner.isReadOnly;
  }

  async read(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#enter("read", "read");
    await this.#inner.read(offset, bytes);
  }
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#enter("write", "write", async () => {
      // A failed write may have written a part.
      await this.#inner.write(offset, bytes.slice(0, bytes.byteLength >> 1).fill(0xee));
    });
    await this.#inner.write(offset, bytes);
  }
  async zero(offset: number, length: number): Promise<void> {
    await this.#enter("zero", "write");
    await this.#inner.zero(offset, length);
  }
  async discard(offset: number, length: number): Promise<void> {
    await this.#inner.discard(offset, length);
  }
  async flush(): Promise<void> {
    await this.#enter("flush", "flush");
    await this.#inner.flush();
  }
  async extent(offset: number, length: number): Promise<Extent> {
    await this.#enter("extent", "read");
    return await this.#inner.extent(offset, length);
  }
  async truncate(size: number): Promise<void> {
    await this.#inner.truncate(size);
  }
  async measure(): Promise<number> {
    await this.#enter("measure", "read");
    return await this.#inner.measure();
  }
  async stamp(): Promise<string | undefined> {
    return await this.#inner.stamp();
  }
  async close(): Promise<void> {
    await this.#inner.close();
  }

  async #enter(
    site: FaultySite,
    operation: BlockOperation,
    onFault: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const count = (this.counts.get(site) ?? 0) + 1;
    this.counts.set(site, count);
    await this.#before(site, count);
    const code = this.#rule(site, count);
    if (code === undefined) return;
    await onFault();
    const subject = this.name;
    throw new BlockError(code, `Cannot ${site} "${subject}": injected ${code}`, {
      operation,
      subject,
    });
  }
}
