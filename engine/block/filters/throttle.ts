/**
 * Throttling: requests of a group of nodes wait until the group's limits let them pass.
 *
 * ```text
 * nodes of a group --> queue of reads  --> buckets --> children
 *                  '-> queue of writes --'
 * ```
 *
 * - A request that passes is paid for afterwards, by those that come after it; it is never split.
 * - Requests of one side pass in order of arrival, whichever node they came through.
 * - Flushes and questions about the map are not limited.
 *
 * Differs from QEMU: the nodes of a group take turns there; here arrival alone decides.
 * May be used by whoever builds graphs of nodes. Source: QEMU 7.2 block/throttle-groups.c.
 */

import { type BlockNode, writeCompressedTo } from "../node.ts";
import { FilterNode } from "./filter_node.ts";
import { ThrottleBuckets, type ThrottleLimits, type ThrottleSide } from "./throttle_limits.ts";

/** What throttling asks of the world. */
export interface ThrottlePorts {
  /** Nanoseconds of a clock that never jumps back. */
  monotonicNs(): number;
  /** Calls back once after at least `ms` milliseconds. */
  setTimer(ms: number, callback: () => void): { cancel(): void };
}

interface Waiting {
  readonly bytes: number;
  readonly isFree: () => boolean;
  start(): void;
}

/** Limits that some nodes share. */
export class ThrottleGroup {
  readonly #ports: ThrottlePorts;
  readonly #queues: { readonly [side in ThrottleSide]: Waiting[] } = { read: [], write: [] };
  readonly #timers: { [side in ThrottleSide]?: { cancel(): void } } = {};
  #limits: ThrottleLimits;
  #buckets: ThrottleBuckets;
  #leakedAtNs: number;

  /** @throws {BlockError} EINVAL when limits contradict each other */
  constructor(limits: ThrottleLimits, ports: ThrottlePorts) {
    this.#ports = ports;
    this.#limits = limits;
    this.#buckets = new ThrottleBuckets(limits);
    this.#leakedAtNs = ports.monotonicNs();
  }

  /** The limits. */
  get limits(): ThrottleLimits {
    return this.#limits;
  }

  /** Requests that wait. */
  get waitingCount(): number {
    return this.#queues.read.length + this.#queues.write.length;
  }

  /**
   * Changes the limits. What passed before is forgotten; who waits is looked at again.
   *
   * @throws {BlockError} EINVAL when limits contradict each other; nothing has changed then
   */
  setLimits(limits: ThrottleLimits): void {
    this.#buckets = new ThrottleBuckets(limits);
    this.#limits = limits;
    this.#leakedAtNs = this.#ports.monotonicNs();
    this.serve();
  }

  /** Resolves when a request may pass; it has been counted then. */
  async admit(side: ThrottleSide, bytes: number, isFree: () => boolean): Promise<void> {
    if (isFree()) return;
    this.#leak();
    const queue = this.#queues[side];
    if (queue.length === 0 && this.#buckets.waitNs(side) === 0) {
      this.#buckets.fill(side, bytes);
      return;
    }
    await new Promise<void>((resolve) => {
      queue.push({ bytes, isFree, start: resolve });
      if (this.#timers[side] === undefined) this.#serve(side);
    });
  }

  /** Lets pass whoever may, and sets the timers for the others. */
  serve(): void {
    this.#serve("read");
    this.#serve("write");
  }

  #serve(side: ThrottleSide): void {
    this.#leak();
    this.#timers[side]?.cancel();
    delete this.#timers[side];
    const queue = this.#queues[side];
    for (const request of queue.splice(0)) {
      const isFree = request.isFree();
      if (isFree || (queue.length === 0 && this.#buckets.waitNs(side) === 0)) {
        if (!isFree) this.#buckets.fill(side, request.bytes);
        request.start();
      } else {
        queue.push(request);
      }
    }
    if (queue.length === 0) return;
    const waitMs = Math.max(1, Math.ceil(this.#buckets.waitNs(side) / 1_000_000));
    this.#timers[side] = this.#ports.setTimer(waitMs, () => this.#serve(side));
  }

  #leak(): void {
    const nowNs = this.#ports.monotonicNs();
    this.#buckets.leak(Math.max(0, nowNs - this.#leakedAtNs));
    this.#leakedAtNs = nowNs;
  }
}

/** A node whose reads and writes wait for its group. */
export class ThrottleNode extends FilterNode {
  readonly #group: ThrottleGroup;
  #freeCount = 0;

  /**
   * @param child what is shown
   * @param group whose limits hold
   */
  constructor(child: BlockNode, group: ThrottleGroup) {
    super(child);
    this.#group = group;
  }

  /** The group. */
  get group(): ThrottleGroup {
    return this.#group;
  }

  /**
   * Lifts the limits for this node until the returned function is called, and lets pass who waits
   * in it. To be used around drains, which would else take as long as the limits say.
   */
  lift(): () => void {
    this.#freeCount++;
    this.#group.serve();
    let isLifted = true;
    return () => {
      if (isLifted) this.#freeCount--;
      isLifted = false;
    };
  }

  /** {@inheritDoc BlockNode.read} */
  override async read(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#admit("read", bytes.byteLength);
    await super.read(offset, bytes);
  }

  /** {@inheritDoc BlockNode.write} */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#admit("write", bytes.byteLength);
    await super.write(offset, bytes);
  }

  /** That of the child. */
  get canCompress(): boolean {
    return this.child.canCompress === true;
  }

  /** {@inheritDoc BlockNode.writeCompressed} */
  async writeCompressed(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#admit("write", bytes.byteLength);
    await writeCompressedTo(this.child, offset, bytes);
  }

  /** {@inheritDoc BlockNode.zero} */
  override async zero(offset: number, length: number): Promise<void> {
    await this.#admit("write", length);
    await super.zero(offset, length);
  }

  /** {@inheritDoc BlockNode.discard} */
  override async discard(offset: number, length: number): Promise<void> {
    await this.#admit("write", length);
    await super.discard(offset, length);
  }

  async #admit(side: ThrottleSide, bytes: number): Promise<void> {
    await this.#group.admit(side, bytes, () => this.#freeCount > 0);
  }
}
