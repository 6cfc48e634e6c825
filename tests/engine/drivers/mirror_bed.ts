/**
 * What the tests of the mirror share: two images in memory, an engine on virtual time, and writers
 * at the source.
 *
 * - `crash` leaves the process where it stands: nothing that was under way ends any more, and the
 *   log is opened again, as a new process would.
 * - The source's stamp counts its changes, as the time of the last change of a file would.
 */

import { Edge } from "../../../engine/block/edge.ts";
import { FilterNode } from "../../../engine/block/filters/filter_node.ts";
import type { BlockNode, Extent } from "../../../engine/block/node.ts";
import type { Driver, JsonObject } from "../../../engine/drivers/driver.ts";
import { mirrorDriver, type MirrorImages } from "../../../engine/drivers/mirror.ts";
import type { Job } from "../../../engine/run/mod.ts";
import type { JobEvent } from "../../../events/job/mod.ts";
import { type FaultRule, FaultyNode, type FaultySite } from "../../support/faulty_node.ts";
import { noise, sameBytes } from "../../support/images.ts";
import { World } from "../../support/world.ts";
import { MemoryNode } from "../block/memory_node.ts";

const GRAIN = 65_536;

/** How a bed is made. */
export interface MirrorBedOptions {
  /** Bytes of both. @default 1 MiB */
  readonly size?: number;
  /** Bytes of the source. @default noise */
  readonly source?: Uint8Array;
  /** Bytes of the target. @default zeros */
  readonly target?: Uint8Array;
  /** True tells the job that the target reads as zeros. @default false */
  readonly isTargetBlank?: boolean;
  /** Which accesses of the source fail. */
  readonly onSource?: FaultRule;
  /** Which accesses of the target fail. */
  readonly onTarget?: FaultRule;
  /** Told of each access of the target's memory. */
  readonly onTargetAccess?: (access: string, offset: number) => void;
  /** Called before each access of the source. */
  readonly beforeSource?: (site: FaultySite, count: number) => Promise<void> | void;
  /** Called before each access of the target. */
  readonly beforeTarget?: (site: FaultySite, count: number) => Promise<void> | void;
  /** Turns that an access takes. */
  readonly turns?: () => number;
  /** What the top of the chain holds. */
  readonly topExtent?: MirrorImages["source"]["topExtent"];
  /** True gives the job the map of the source. @default false */
  readonly hasMap?: boolean;
}

/** A node in the hands of one process: nothing comes back from it after a crash. */
class MortalNode extends FilterNode {
  readonly #isDead: () => boolean;
  readonly #stamp: (() => string) | undefined;

  constructor(child: BlockNode, isDead: () => boolean, stamp?: () => string) {
    super(child);
    this.#isDead = isDead;
    this.#stamp = stamp;
  }

  /** A map with grains of 64 KiB, as that of a file. */
  override async extent(offset: number, length: number): Promise<Extent> {
    const found = await super.extent(offset, Math.min(length, GRAIN - offset % GRAIN));
    const isWhole = found.offset + found.length === this.size || found.length >= GRAIN;
    if (found.kind === "data" || isWhole || found.length === length) return found;
    return { offset, length: Math.min(length, GRAIN - offset % GRAIN), kind: "data" };
  }
  override stamp(): Promise<string | undefined> {
    return Promise.resolve(this.#stamp?.());
  }
  override read(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#alive(() => super.read(offset, bytes));
  }
  override write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#alive(() => super.write(offset, bytes));
  }
  override zero(offset: number, length: number): Promise<void> {
    return this.#alive(() => super.zero(offset, length));
  }
  override flush(): Promise<void> {
    return this.#alive(() => super.flush());
  }

  async #alive(access: () => Promise<void>): Promise<void> {
    if (this.#isDead()) await new Promise<never>(() => {});
    await access();
    if (this.#isDead()) await new Promise<never>(() => {});
  }
}

/** See the head of this file. */
export class MirrorBed {
  readonly source: MemoryNode;
  readonly target: MemoryNode;
  readonly #options: MirrorBedOptions;
  #changes = 0;
  #life = 0;
  #world: World | undefined;
  #edge: Edge | undefined;
  #faultyTarget: FaultyNode | undefined;
  #targetNode: BlockNode | undefined;

  private constructor(options: MirrorBedOptions) {
    const size = options.size ?? options.source?.byteLength ?? 1_048_576;
    this.#options = options;
    const turns = options.turns === undefined ? {} : { turns: options.turns };
    const before = (access: string) => {
      if (access !== "read" && access !== "extent") this.#changes++;
    };
    const source = options.source ?? noise(size);
    this.source = new MemoryNode(source.slice(), { name: "source", ...turns, before });
    const target = options.target ?? new Uint8Array(size);
    this.target = new MemoryNode(target.slice(), {
      name: "target",
      ...turns,
      before: (access, offset) => options.onTargetAccess?.(access, offset),
    });
  }

  /** Opens an engine that knows mirrors between the two images. */
  static async open(options: MirrorBedOptions = {}): Promise<MirrorBed> {
    const bed = new MirrorBed(options);
    const driver = mirrorDriver(() => Promise.resolve(bed.#images())) as unknown as Driver;
    bed.#world = await World.open({ drivers: { get: () => driver } });
    return bed;
  }

  /** The engine of this process. */
  get world(): World {
    return this.#world!;
  }

  /** Where writers come in. */
  get edge(): Edge {
    return this.#edge!;
  }

  /** The target with its faults. */
  get faultyTarget(): FaultyNode {
    return this.#faultyTarget!;
  }

  /** True if both images hold the same bytes. */
  get isEqual(): boolean {
    return sameBytes(this.source.bytes, this.target.bytes);
  }

  /** True if writers were led to the target. */
  get isPivoted(): boolean {
    return this.edge.child === this.#targetNode;
  }

  /** Starts a mirror with the id `m`. */
  async start(parameters: JsonObject = {}, more: JsonObject = {}): Promise<Job> {
    const own = { source: "source", target: "target", ...parameters };
    const request = { type: "mirror", id: "m", parameters: own, ...more };
    return await this.world.done(this.world.joblog.start(request));
  }

  /** The job after a crash. */
  get job(): Job {
    return this.world.joblog.job("m")!;
  }

  /** Writes through the edge, and settles. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.world.done(this.edge.write(offset, bytes));
  }

  /** The process dies, and another one opens the log. */
  async crash(): Promise<void> {
    this.#life++;
    this.#world = await this.world.reopen();
  }

  /** The process closes and parks what can go on; another one opens the log. */
  async park(): Promise<void> {
    await this.world.close("park");
    this.#life++;
    this.#world = await this.world.reopen();
  }

  /**
   * The process had died behind its n-th commit: what its last checkpoint calls dirty is lost.
   *
   * @param isAllLost true loses the whole target if there was no checkpoint
   */
  async crashAfter(commits: number, isAllLost: boolean): Promise<void> {
    const world = this.world;
    this.#life++;
    const seen = world.batches.slice(0, commits).flatMap((batch) => batch.records);
    const checkpoints = seen.filter((record) => record.type === "CheckpointTaken");
    const last = checkpoints.at(-1);
    const point = last && JSON.parse(last.text) as {
      readonly data: { readonly resumeFrom: { readonly todo: readonly [number, number][] } };
    };
    const lost = point?.data.resumeFrom.todo ?? (isAllLost ? [[0, this.target.size]] : []);
    for (const [offset, length] of lost) this.target.bytes.set(noise(length, 99), offset);
    this.#world = await world.copyAfter(commits);
  }

  /** Somebody else writes the source while no process runs. */
  writeBehind(offset: number, bytes: Uint8Array): void {
    this.source.bytes.set(bytes, offset);
    this.#changes++;
  }

  /** What QEMU would have sent. */
  async sent(): Promise<readonly string[]> {
    return await this.world.sent();
  }

  /** Events of one type of all jobs. */
  async eventsOf<T extends JobEvent["type"]>(type: T): Promise<(JobEvent & { type: T })[]> {
    const events = await this.world.events();
    return events.filter((event): event is JobEvent & { type: T } => event.type === type);
  }

  /** The steps as text. */
  async steps(): Promise<readonly string[]> {
    const events = await this.eventsOf("StepTaken");
    return events.map(({ data }) => `${data.kind} ${data.offset} ${data.length}`);
  }

  #images(): MirrorImages {
    const life = this.#life;
    const {
      onSource,
      onTarget,
      beforeSource,
      beforeTarget,
      topExtent,
      isTargetBlank = false,
      hasMap,
    } = this.#options;
    const mortal = (node: BlockNode, stamp?: () => string) =>
      new MortalNode(node, () => this.#life !== life, stamp);
    const source = mortal(
      new FaultyNode(this.source, onSource, beforeSource),
      () => `v${this.#changes}`,
    );
    const faulty = this.#faultyTarget = new FaultyNode(this.target, onTarget, beforeTarget);
    const target = this.#targetNode = mortal(faulty);
    const edge = this.#edge = new Edge(source, { release: () => {} });
    const extent = (offset: number, length: number) => source.extent(offset, length);
    return {
      source: { edge, topExtent, extent: hasMap === true ? extent : undefined },
      replaced: "source",
      openTarget: (_context, isBegun) =>
        Promise.resolve({ node: target, isBlank: isTargetBlank && !isBegun, clusterSize: 1 }),
      pivot: (drained, node) => drained.replace(node),
      close: () => Promise.resolve(),
    };
  }
}
