/**
 * The fault node: requests that fail by rules, so that every error path can be walked.
 *
 * - It fails a request before anything reaches the node below, and otherwise changes nothing.
 * - It hears what the format above is about to do, and passes it on to the node below.
 *
 * May be used by whoever builds graphs of nodes, and by tests.
 */

import type { DebugEvent } from "../debug_events.ts";
import { blockErrorOf, type BlockOperation } from "../errors.ts";
import type { BlockNode, Extent } from "../node.ts";
import { type BlkdebugOptions, type BlkdebugRequest, BlkdebugRules } from "./blkdebug_rules.ts";
import { FilterNode } from "./filter_node.ts";

const OPERATIONS = {
  "read": "read",
  "write": "write",
  "write-zeroes": "write",
  "discard": "write",
  "flush": "flush",
  "block-status": "read",
} as const satisfies { readonly [iotype in BlkdebugRequest["iotype"]]: BlockOperation };

/**
 * Makes requests fail by rules.
 *
 * Events come from the format above it (see `DEBUG_EVENTS`); a request that fails does not reach
 * the node below.
 *
 * @example The first write of data fails as if the disk were full
 * ```ts ignore
 * const rules = { "inject-error": [{ event: "write_aio", errno: 28, once: true }] };
 * const node = new RawNode(new BlkdebugNode(file, rules));
 * await node.write(0, bytes);   // rejects with ENOSPC
 * await node.write(0, bytes);
 * ```
 *
 * Source: QEMU 7.2 block/blkdebug.c.
 */
export class BlkdebugNode extends FilterNode {
  readonly #rules: BlkdebugRules;

  /** @throws {BlockError} EINVAL when a rule cannot be */
  constructor(child: BlockNode, options: BlkdebugOptions = {}) {
    super(child);
    this.#rules = new BlkdebugRules(options);
    this.#rules.happen("none");
  }

  /** The state of its rules: 1 at first. */
  get state(): number {
    return this.#rules.state;
  }

  /** Takes notice of what the node above is about to do, and passes it on. */
  override debugEvent(event: DebugEvent): void {
    this.#rules.happen(event);
    super.debugEvent(event);
  }

  /** {@inheritDoc BlockNode.read} */
  override async read(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#check({ iotype: "read", offset, length: bytes.byteLength });
    await super.read(offset, bytes);
  }

  /** {@inheritDoc BlockNode.write} */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.debugEvent("pwritev");
    await this.#check({ iotype: "write", offset, length: bytes.byteLength });
    await super.write(offset, bytes);
    this.debugEvent("pwritev_done");
  }

  /** {@inheritDoc BlockNode.zero} */
  override async zero(offset: number, length: number): Promise<void> {
    this.debugEvent("pwritev_zero");
    await this.#check({ iotype: "write-zeroes", offset, length });
    await super.zero(offset, length);
    this.debugEvent("pwritev_done");
  }

  /** {@inheritDoc BlockNode.discard} */
  override async discard(offset: number, length: number): Promise<void> {
    await this.#check({ iotype: "discard", offset, length });
    await super.discard(offset, length);
  }

  /** {@inheritDoc BlockNode.flush} */
  override async flush(): Promise<void> {
    await this.#check({ iotype: "flush", offset: 0, length: 0 });
    await super.flush();
  }

  /** {@inheritDoc BlockNode.extent} */
  override async extent(offset: number, length: number): Promise<Extent> {
    await this.#check({ iotype: "block-status", offset, length });
    return await super.extent(offset, length);
  }

  async #check(request: BlkdebugRequest): Promise<void> {
    const fault = this.#rules.check(request);
    if (fault === undefined) return;
    if (!fault.isImmediate) await Promise.resolve();
    const { iotype, offset } = request;
    // Worded as any failed access is: so texts on the wire are those of the errno.
    const operation = OPERATIONS[iotype];
    const place = iotype === "flush" ? "" : ` at ${offset}`;
    const cause = Object.assign(new Error(`injected ${fault.code}`), { code: fault.code });
    throw blockErrorOf(operation, `${operation} "${this.name}"${place}`, this.name, cause);
  }
}
