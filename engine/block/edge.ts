/**
 * The edge between a parent and a node: where a filter can come and go under a running writer.
 *
 * ```text
 * writer, format or job --> Edge --> child          requests pass, and are counted
 * writer, format or job --> Edge -|  child          drained: held, none in flight
 * writer, format or job --> Edge --> filter --> child
 * ```
 *
 * - Requests and drains form one queue in order of arrival. A drain waits for the requests that
 *   came before it to settle; those that come after it are held, and then start in their order.
 * - While a drain runs, nothing that came through this edge is on its way below it.
 * - The edge knows nothing of ownership: a child that was replaced is the caller's.
 *
 * May be used by whoever builds graphs of nodes. Source: QEMU 7.2 block.c bdrv_replace_child and
 * block/io.c bdrv_drained_begin, reduced to one thread.
 */

import { copyBetween } from "./copy.ts";
import type { DebugEvent } from "./debug_events.ts";
import { BlockError } from "./errors.ts";
import {
  type BlockNode,
  type Extent,
  type LentRange,
  type Loan,
  writeCompressedTo,
} from "./node.ts";
import { RequestGate } from "./request_gate.ts";

/** How an edge ends. */
export interface EdgeOptions {
  /** Called once by `close`, after the last request. @default closes the child */
  readonly release?: (child: BlockNode) => Promise<void> | void;
}

/** What may be done while an edge is drained. */
export interface DrainedEdge {
  /** What the edge leads to now. */
  readonly child: BlockNode;
  /** Makes it lead to another node at once. The one before stays open and is the caller's. */
  replace(child: BlockNode): void;
}

/** The right to lead an edge elsewhere; it ends with its drain. */
class Moment implements DrainedEdge {
  readonly #child: () => BlockNode;
  readonly #lead: (next: BlockNode) => void;
  #isOver = false;

  constructor(child: () => BlockNode, lead: (next: BlockNode) => void) {
    this.#child = child;
    this.#lead = lead;
  }

  get child(): BlockNode {
    return this.#child();
  }

  replace(child: BlockNode): void {
    if (this.#isOver) throw new Error("Cannot replace a child: the drain is over");
    this.#lead(child);
  }

  end(): void {
    this.#isOver = true;
  }
}

/**
 * A way from a parent to a node that can be led elsewhere. To the parent it is the node.
 *
 * Inside a drain nobody may wait for a request through the same edge: it is held until the drain is
 * over. The nodes below may be used directly.
 *
 * @example A filter comes in under a writer, at a moment when nothing is written
 * ```ts ignore
 * const edge = new Edge(disk);
 * const write = edge.write(0, bytes);            // still goes to the disk alone
 * await edge.replace(filterOver(disk), () => markEverything());
 * await edge.write(0, bytes);                    // goes through the filter
 * ```
 */
export class Edge implements BlockNode {
  #child: BlockNode;
  readonly #release: (child: BlockNode) => Promise<void> | void;
  readonly #gate = new RequestGate();
  #isClosed = false;
  #closing: Promise<void> | undefined;

  /**
   * Leads to a child at once; nothing is read or written.
   *
   * @param child where it leads at first
   * @param options how it ends
   */
  constructor(child: BlockNode, options: EdgeOptions = {}) {
    this.#child = child;
    this.#release = options.release ?? ((last) => last.close());
  }

  /** What it leads to now. */
  get child(): BlockNode {
    return this.#child;
  }

  /** Requests that have started and not settled. */
  get inFlight(): number {
    return this.#gate.inFlight;
  }

  /** Requests and drains that wait for a drain to end or to begin. */
  get heldCount(): number {
    return this.#gate.heldCount;
  }

  /** Name of the child. */
  get name(): string {
    return this.#child.name;
  }

  /** Identity of the child. */
  get identity(): string {
    return this.#child.identity;
  }

  /** Size of the child. */
  get size(): number {
    return this.#child.size;
  }

  /** True if the child is read-only. */
  get isReadOnly(): boolean {
    return this.#child.isReadOnly;
  }

  /**
   * Runs `work` at a moment when nothing is in flight, and holds what comes meanwhile.
   *
   * Drains of one edge run one after the other. If `work` fails, its error is thrown here; requests
   * go on in any case, to where the edge then leads.
   */
  async drained<T>(work: (edge: DrainedEdge) => Promise<T> | T): Promise<T> {
    return await this.#gate.drained(async () => {
      const moment = new Moment(() => this.#child, (next) => this.#child = next);
      try {
        return await work(moment);
      } finally {
        moment.end();
      }
    });
  }

  /**
   * Leads the edge to another node under a running writer.
   *
   * @param next where it leads then; or what makes it, called while the edge is drained
   * @param atPoint called while the edge is drained, before the child changes: what came before has
   * settled below, nothing that comes after has begun. If it fails, nothing is replaced
   * @returns the child before, still open
   */
  async replace(
    next: BlockNode | ((before: BlockNode) => Promise<BlockNode> | BlockNode),
    atPoint?: (before: BlockNode) => Promise<void> | void,
  ): Promise<BlockNode> {
    return await this.drained(async (edge) => {
      const before = edge.child;
      await atPoint?.(before);
      edge.replace(typeof next === "function" ? await next(before) : next);
      return before;
    });
  }

  /** {@inheritDoc BlockNode.read} */
  async read(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#pass((child) => child.read(offset, bytes));
  }

  /** {@inheritDoc BlockNode.write} */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#pass((child) => child.write(offset, bytes));
  }

  /** That of the child. */
  get canCompress(): boolean {
    return this.#child.canCompress === true;
  }

  /** {@inheritDoc BlockNode.writeCompressed} */
  async writeCompressed(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#pass((child) => writeCompressedTo(child, offset, bytes));
  }

  /** {@inheritDoc BlockNode.zero} */
  async zero(offset: number, length: number): Promise<void> {
    await this.#pass((child) => child.zero(offset, length));
  }

  /** {@inheritDoc BlockNode.discard} */
  async discard(offset: number, length: number): Promise<void> {
    await this.#pass((child) => child.discard(offset, length));
  }

  /** {@inheritDoc BlockNode.flush} */
  async flush(): Promise<void> {
    await this.#pass((child) => child.flush());
  }

  /** {@inheritDoc BlockNode.extent} */
  async extent(offset: number, length: number): Promise<Extent> {
    return await this.#pass((child) => child.extent(offset, length));
  }

  /** {@inheritDoc BlockNode.truncate} */
  async truncate(size: number): Promise<void> {
    await this.#pass((child) => child.truncate(size));
  }

  /** {@inheritDoc BlockNode.measure} */
  async measure(): Promise<number> {
    return await this.#pass((child) => child.measure());
  }

  /** {@inheritDoc BlockNode.stamp} */
  async stamp(): Promise<string | undefined> {
    return await this.#pass((child) => child.stamp());
  }

  /** {@inheritDoc BlockNode.copyRange} A copy that was held is done in any case. */
  copyRange(
    source: BlockNode,
    from: number,
    to: number,
    length: number,
  ): Promise<void> | undefined {
    if (this.#gate.isOpen && !this.#isClosed) {
      const copying = this.#child.copyRange?.(source, from, to, length);
      return copying === undefined ? undefined : this.#pass(() => copying);
    }
    return this.#pass((target) => copyBetween({ source, from, target, to, length }));
  }

  /** Lends the child, which is not replaced meanwhile. */
  async lend(
    offset: number,
    length: number,
    use: (range: LentRange) => Promise<void>,
  ): Promise<Loan> {
    await this.#pass((node) => use({ node, offset, length }));
    return { length, isUsed: true };
  }

  /** Passes on at once what the parent is about to do. */
  debugEvent(event: DebugEvent): void {
    this.#child.debugEvent?.(event);
  }

  /** Waits for everything that came before and lets go of the child. A second call does nothing. */
  async close(): Promise<void> {
    this.#closing ??= this.drained(async ({ child }) => {
      this.#isClosed = true;
      await this.#release(child);
    });
    await this.#closing;
  }

  #pass<T>(request: (child: BlockNode) => Promise<T>): Promise<T> {
    return this.#gate.pass(() => {
      if (this.#isClosed) throw this.#closedError();
      return request(this.#child);
    });
  }

  #closedError(): BlockError {
    const { name } = this.#child;
    return new BlockError("EBADF", `Cannot use "${name}": it is closed`, {
      operation: "close",
      subject: name,
    });
  }
}

/**
 * Runs `work` while several edges are drained.
 *
 * @param edges from the top down: an edge above another must come before it, since what is in
 * flight above needs the one below; for the same reason an edge that is copied to comes before the
 * one that it is copied from. Two callers at the same edges must not overlap
 */
export async function drainedAll<T>(
  edges: readonly Edge[],
  work: (edges: readonly DrainedEdge[]) => Promise<T> | T,
): Promise<T> {
  const enter = async (index: number, drained: readonly DrainedEdge[]): Promise<T> => {
    const edge = edges[index];
    if (edge === undefined) return await work(drained);
    return await edge.drained((next) => enter(index + 1, [...drained, next]));
  };
  return await enter(0, []);
}
