/**
 * Chains of qcow2 files in memory under an engine on virtual time: accesses that fail, processes
 * that die between any two of them.
 *
 * - `crash` leaves the process where it stands: nothing that was under way ends any more, and the
 *   log is opened again, as a new process would.
 * - `shown` looks at the files as they are, without the job.
 */

import { assertEquals } from "@std/assert";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { BlockError } from "../../../engine/block/errors.ts";
import type { FileOptions } from "../../../engine/block/file.ts";
import { FilterNode } from "../../../engine/block/filters/filter_node.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { formatQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { Qcow2Image } from "../../../engine/block/qcow2/image.ts";
import { commitDriver } from "../../../engine/drivers/commit.ts";
import { openCommitFiles } from "../../../engine/drivers/commit/files.ts";
import type { Driver, JsonObject } from "../../../engine/drivers/driver.ts";
import type { ImageFile } from "../../../engine/drivers/images/files.ts";
import { streamDriver } from "../../../engine/drivers/stream.ts";
import { openStreamFiles } from "../../../engine/drivers/stream/files.ts";
import type { Job } from "../../../engine/run/mod.ts";
import type { JobEvent } from "../../../events/job/mod.ts";
import { type FaultRule, FaultyNode } from "../../support/faulty_node.ts";
import { noise } from "../../support/images.ts";
import { World } from "../../support/world.ts";
import { MemoryNode } from "../block/memory_node.ts";
import { bytesOf, checkByQemu, HAS_QEMU, qemuImg } from "../block/qcow2/qemu.ts";
import { firstDifferent } from "./chain_bed.ts";

/** Where the files would be; they are there for as long as QEMU looks at them. */
const FOLDER = `${tmpdir()}/joblog-memory-chain-${process.pid}`;

/** One layer: the lowest one first. */
export interface MemoryLayer {
  /** Name of the file. Ends in `.raw` or is qcow2. */
  readonly name: string;
  /** Bytes. @default as below */
  readonly size?: number;
  /** Ranges of noise. */
  readonly data?: readonly (readonly [offset: number, length: number])[];
}

/** One access of a file, by anybody. */
export type OnAccess = (file: string, access: string, count: number) => void;

/** A file in the hands of one process: nothing comes back from it after a crash. */
class ProcessFile extends FilterNode implements ImageFile {
  readonly isCreated = false;
  readonly isDevice = false;
  readonly #isReadOnly: boolean;
  readonly #isDead: () => boolean;

  constructor(child: BlockNode, isReadOnly: boolean, isDead: () => boolean) {
    super(child);
    this.#isReadOnly = isReadOnly;
    this.#isDead = isDead;
  }

  override get isReadOnly(): boolean {
    return this.#isReadOnly;
  }
  override read(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#alive(() => super.read(offset, bytes));
  }
  override write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#alive(() => super.write(offset, bytes));
  }
  override flush(): Promise<void> {
    return this.#alive(() => super.flush());
  }
  override truncate(size: number): Promise<void> {
    return this.#alive(() => super.truncate(size));
  }
  removeCreated(): Promise<void> {
    return Promise.resolve();
  }
  override close(): Promise<void> {
    return Promise.resolve();
  }

  async #alive(access: () => Promise<void>): Promise<void> {
    if (this.#isDead()) await new Promise<never>(() => {});
    await access();
    if (this.#isDead()) await new Promise<never>(() => {});
  }
}

/** See the head of this file. */
export class MemoryChain {
  readonly files = new Map<string, MemoryNode>();
  model: Uint8Array = new Uint8Array(0);
  /** Which accesses of a file fail. */
  rules = new Map<string, FaultRule>();
  /** How files copy from others by themselves; absent = they cannot. */
  copies = new Map<string, NonNullable<BlockNode["copyRange"]>>();
  /** Called before each access; may throw, or kill the process. */
  onAccess: OnAccess = () => {};
  accessCount = 0;
  #life = 0;
  #world: World | undefined;

  /** Makes the layers and opens an engine that knows both drivers. */
  static async open(layers: readonly MemoryLayer[]): Promise<MemoryChain> {
    const chain = new MemoryChain();
    let below: MemoryLayer | undefined;
    for (const layer of layers) {
      await chain.#make(layer, below);
      below = layer;
    }
    const openFile = (path: string, options: FileOptions) => chain.#openFile(path, options);
    const stream = streamDriver((parameters, context) =>
      openStreamFiles(parameters, context, openFile)
    );
    const commit = commitDriver((parameters, context) =>
      openCommitFiles(parameters, context, openFile)
    );
    const get = (type: string) => (type === "stream" ? stream : commit) as unknown as Driver;
    chain.#world = await World.open({ drivers: { get } });
    return chain;
  }

  get world(): World {
    return this.#world!;
  }

  /** Starts a job with the id `j`. */
  async start(type: string, names: JsonObject, more: JsonObject = {}): Promise<Job> {
    const parameters = this.pathsIn(names);
    return await this.world.done(this.world.joblog.start({ type, id: "j", parameters, ...more }));
  }

  /** Parameters with the paths of the layers that they name. */
  pathsIn(names: JsonObject): JsonObject {
    return Object.fromEntries(
      Object.entries(names).map(([name, value]) => {
        const isFile = ["device", "top", "base", "bottom"].includes(name);
        return [name, isFile ? this.path(String(value)) : value];
      }),
    ) as JsonObject;
  }

  /** What the header of an image names. */
  async backing(name: string): Promise<string | undefined> {
    return (await Qcow2Image.readHeader(this.#find(this.path(name)))).backingName;
  }

  /** The job, if it is still there. */
  get job(): Job | undefined {
    return this.world.joblog.job("j");
  }

  /** From now on nothing comes back to this process. */
  kill(): void {
    this.#life++;
  }

  /** Another process opens the log. */
  async reopen(): Promise<void> {
    this.kill();
    this.#world = await this.world.reopen();
  }

  /** The process closes and parks what can go on; another one opens the log. */
  async park(): Promise<void> {
    await this.world.close("park");
    await this.reopen();
  }

  /** Events of one type. */
  async eventsOf<T extends JobEvent["type"]>(type: T): Promise<(JobEvent & { type: T })[]> {
    const events = await this.world.events();
    return events.filter((event): event is JobEvent & { type: T } => event.type === type);
  }

  /** What an image shows, by files as they are now. */
  async shown(name: string): Promise<Uint8Array> {
    const copy = (path: string) => {
      const file = this.#find(path).bytes.slice();
      return Promise.resolve(new MemoryNode(file, { name: path, turns: () => 0 }));
    };
    if (name.endsWith(".raw")) return this.#find(this.path(name)).bytes.slice();
    const node = await openQcow2(this.path(name), { readOnly: true, openFile: copy });
    return await bytesOf(node);
  }

  /** Checks what an image shows, here and as QEMU sees it, and that no image is corrupt. */
  async expectShows(name: string, what = name): Promise<void> {
    assertEquals(firstDifferent(await this.shown(name), this.model), -1, what);
    if (!HAS_QEMU) return;
    fs.mkdirSync(FOLDER, { recursive: true });
    try {
      for (const [path, { bytes }] of this.files) fs.writeFileSync(path, bytes);
      const seen = this.path("seen.raw");
      qemuImg("convert", "-O", "raw", this.path(name), seen);
      assertEquals(firstDifferent(fs.readFileSync(seen), this.model), -1, `${what}, by QEMU`);
      for (const path of this.files.keys()) {
        if (path.endsWith(".raw")) continue;
        assertEquals(checkByQemu(path).corruptions, 0, `${what}: ${path}`);
      }
    } finally {
      fs.rmSync(FOLDER, { recursive: true, force: true });
    }
  }

  /** The path of a layer. */
  path(name: string): string {
    return `${FOLDER}/${name}`;
  }

  async #make(layer: MemoryLayer, below: MemoryLayer | undefined): Promise<void> {
    const { name, size = this.model.byteLength, data = [] } = layer;
    const next = new Uint8Array(size);
    next.set(this.model.subarray(0, size));
    this.model = next;
    const path = this.path(name);
    const isRaw = name.endsWith(".raw");
    const file = new MemoryNode(new Uint8Array(isRaw ? size : 0), { name: path });
    this.files.set(path, file);
    const backing = below === undefined ? {} : {
      backingFile: this.path(below.name),
      backingFormat: below.name.endsWith(".raw") ? "raw" : "qcow2",
    } as const;
    if (!isRaw) await formatQcow2(file, { size, ...backing });
    const open = (each: string) => Promise.resolve(this.#find(each));
    const node = isRaw ? file : await openQcow2(path, { openFile: open });
    for (const [offset, length] of data) {
      const bytes = noise(length, offset + this.files.size);
      await node.write(offset, bytes);
      this.model.set(bytes, offset);
    }
    await node.close();
    for (const each of this.files.values()) each.isClosed = false;
  }

  #openFile(path: string, options: FileOptions): Promise<ImageFile> {
    const life = this.#life;
    const name = path.slice(FOLDER.length + 1);
    const faulty = new FaultyNode(this.#find(path), undefined, (site, count) => {
      if (this.#life !== life) return;
      this.onAccess(name, site, ++this.accessCount);
      const code = this.rules.get(name)?.(site, count);
      if (code === undefined) return;
      // Nothing is written: half a header is more than a format can survive.
      throw new BlockError(code, `Cannot ${site} "${name}": injected ${code}`, {
        operation: site === "write" || site === "flush" ? site : "read",
        subject: name,
      });
    });
    const isDead = () => this.#life !== life;
    const file = new ProcessFile(faulty, options.readOnly === true, isDead);
    const copyRange = this.copies.get(name);
    return Promise.resolve(copyRange === undefined ? file : Object.assign(file, { copyRange }));
  }

  #find(path: string): MemoryNode {
    const file = this.files.get(path);
    if (file !== undefined) return file;
    throw new BlockError("ENOENT", `Cannot open "${path}": it does not exist`, {
      operation: "open",
      subject: path,
    });
  }
}
