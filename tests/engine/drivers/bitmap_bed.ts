/** What the tests of backups by bitmap share: a disk with a guest, and what a bitmap says. */

import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { Edge, JsonObject } from "../../../engine/drivers/driver.ts";
import { openSourceImage } from "../../../engine/drivers/images/source.ts";
import { type Job, type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise } from "../../support/images.ts";
import { bytesOf } from "../block/qcow2/qemu.ts";

/** Bytes of one granule, and of one cluster of a backup. */
export const GRANULE = 65_536;
/** Granules of the disk. */
export const COUNT = 16;

/** See the head of this file. The disk is `disk`: `disk.qcow2` over `base.raw`. */
export class BitmapBed {
  readonly folder = new ImageFolder();
  joblog!: Joblog;
  guest!: Edge;
  #probeCount = 0;
  #seed = 100;

  async open(): Promise<void> {
    this.joblog = await openJoblog({
      path: this.folder.file("jobs.db"),
      baseFolder: this.folder.path,
    });
  }

  /** Makes and opens the disk, adds bitmap `map`, and lets a guest in. */
  async prepare(): Promise<void> {
    this.folder.write("base.raw", noise(GRANULE * COUNT, 5));
    const backing = { backingFile: "base.raw", backingFormat: "raw" } as const;
    await this.image("disk.qcow2", backing);
    await this.open();
    await this.joblog.nodes.add({
      "driver": "qcow2",
      "node-name": "disk",
      "file": { driver: "file", filename: "disk.qcow2" },
    });
    await this.add("map");
    this.guest = await this.joblog.nodes.writer("disk");
  }

  async image(name: string, own: object = {}): Promise<void> {
    await (await createQcow2(this.folder.file(name), { size: GRANULE * COUNT, ...own })).close();
  }

  add(bitmap: string, node = "disk"): Promise<void> {
    return this.joblog.nodes.addBitmap({ node, bitmap, granularity: GRANULE });
  }

  /** A guest writes into some granules. */
  async write(...granules: readonly number[]): Promise<void> {
    for (const each of granules) {
      await this.guest.write(each * GRANULE + 700, noise(3_000, this.#seed++));
    }
  }

  /** Starts a backup of the disk, one cluster at a time. */
  start(parameters: JsonObject, extra: object = {}): Promise<Job> {
    const perf = { "max-workers": 1, "max-chunk": GRANULE };
    const all = { source: "disk", ...perf, ...parameters };
    return this.joblog.start({ type: "backup", id: "b", parameters: all, ...extra });
  }

  /** What a bitmap says, or would let a backup copy: numbers of granules. */
  async dirty(bitmap = "map", node = "disk"): Promise<readonly number[]> {
    const target = `probe${this.#probeCount++}.raw`;
    const by = { bitmap, "sync": "bitmap", "bitmap-mode": "never" };
    const parameters = { source: node, target, format: "raw", ...by };
    const job = await this.joblog.start({ type: "backup", id: "probe", parameters });
    const { ret } = await job.done;
    if (ret !== 0) throw new Error(`The probe ended with ${ret}`);
    const found: number[] = [];
    for await (const event of this.joblog.reader.readStream(`job-${job.runId}`)) {
      if (event.type !== "StepTaken") continue;
      const { offset, length } = event.data as { offset: number; length: number };
      for (let at = offset; at < offset + length; at += GRANULE) found.push(at / GRANULE);
    }
    return found.sort((a, b) => a - b);
  }

  /** All bytes of an image, as its chain shows them. */
  async contents(name: string): Promise<Uint8Array> {
    const { node } = await openSourceImage(name, { folder: this.folder.path });
    try {
      return await bytesOf(node);
    } finally {
      await node.close();
    }
  }

  async close(): Promise<void> {
    await this.guest.close();
    await this.joblog.close({ jobs: "cancel" });
    this.folder.remove();
  }
}
