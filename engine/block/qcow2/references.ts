/**
 * Counts how often each cluster of the file is really in use, by walking through all tables.
 *
 * - A table that a level names twice is walked once, so that no image takes for ever.
 * - Memory grows with the clusters in use, not with what the image claims to be.
 *
 * May be used by `check.ts`.
 */

import { BlockError } from "../errors.ts";
import { eachBitmapRange } from "./bitmap_clusters.ts";
import { type ClusterEntry, readPlace } from "./entries.ts";
import type { Qcow2Image } from "./image.ts";
import { L1_BYTES_MAX } from "./layout.ts";
import type { Refcounts } from "./refcounts.ts";
import { readSnapshotTable } from "./snapshot_table.ts";
import { CachedTable } from "./table_cache.ts";
import { viewOf } from "./words.ts";

/** Counts kept together. */
const PAGE = 16_384;

/** What the tables of an image refer to. */
export class References {
  /** Clusters of the image that have bytes of their own. */
  dataClusters = 0;
  /** Those of them that are compressed. */
  compressedClusters = 0;
  readonly #image: Qcow2Image;
  readonly #refcounts: Refcounts;
  readonly #report: (what: string) => void;
  readonly #pages = new Map<number, Uint32Array>();
  /** The L2 table that is looked at: one after the other. */
  readonly #table: Uint8Array;

  /** @param report is told of everything that cannot be so */
  constructor(image: Qcow2Image, refcounts: Refcounts, report: (what: string) => void) {
    this.#image = image;
    this.#refcounts = refcounts;
    this.#report = report;
    this.#table = new Uint8Array(image.geometry.clusterSize);
  }

  /** How often cluster number `cluster` is referred to. */
  countOf(cluster: number): number {
    return this.#pages.get(Math.floor(cluster / PAGE))?.[cluster % PAGE] ?? 0;
  }

  /** Numbers of all clusters that are referred to. */
  *clusters(): Generator<number> {
    for (const [number, page] of this.#pages) {
      for (const [place, count] of page.entries()) if (count > 0) yield number * PAGE + place;
    }
  }

  /** Walks through everything. */
  async collect(): Promise<void> {
    const { header, geometry, l1 } = this.#image;
    this.#add(0, geometry.clusterSize, "the header");
    await this.#walkL1(l1, header.l1Offset, true);
    await this.#attempt(() => this.#walkSnapshots());
    await this.#attempt(() =>
      eachBitmapRange(this.#image, (offset, bytes) => this.#add(offset, bytes, "a bitmap"))
    );
    this.#add(...this.#refcounts.tablePlace, "the refcount table");
    for (let index = 0; index < this.#refcounts.tableLength; index++) {
      const host = this.#refcounts.blockHost(index);
      if (host !== 0) this.#add(host, geometry.clusterSize, `refcount block ${index}`, true);
    }
  }

  #add(offset: number, bytes: number, what: string, isAligned = false): void {
    if (bytes === 0) return;
    const { clusterSize } = this.#image.geometry;
    const end = offset + bytes;
    if (isAligned && offset % clusterSize !== 0) {
      this.#report(`${what} lies at ${offset}, which is no cluster's start`);
      return;
    }
    if (!Number.isSafeInteger(end) || end >= this.#image.file.size + clusterSize) {
      this.#report(`${what} lies at ${offset}, behind the end of the file`);
      return;
    }
    for (let cluster = Math.floor(offset / clusterSize); cluster * clusterSize < end; cluster++) {
      const number = Math.floor(cluster / PAGE);
      const page = this.#pages.get(number) ?? new Uint32Array(PAGE);
      this.#pages.set(number, page);
      page[cluster % PAGE] = (page[cluster % PAGE] ?? 0) + 1;
    }
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof BlockError) || error.code !== "EIO") throw error;
      this.#report(error.message);
    }
  }

  async #walkSnapshots(): Promise<void> {
    if (this.#image.header.snapshotCount === 0) return;
    const table = await readSnapshotTable(this.#image);
    this.#add(this.#image.header.snapshotOffset, table.bytes, "the table of snapshots");
    for (const { offset, entryCount } of table.snapshots) {
      const bytes = entryCount * 8;
      if (bytes > L1_BYTES_MAX || !(offset + bytes <= this.#image.file.size)) {
        this.#report(`the L1 table of a snapshot lies at ${offset}, with ${bytes} bytes`);
        continue;
      }
      const l1 = new Uint8Array(bytes);
      await this.#image.file.read(offset, l1);
      await this.#walkL1(l1, offset, false);
    }
  }

  async #walkL1(l1: Uint8Array, offset: number, isActive: boolean): Promise<void> {
    this.#add(offset, l1.byteLength, "an L1 table");
    const view = viewOf(l1);
    const seen = new Set<number>();
    for (let index = 0; index < l1.byteLength / 8; index++) {
      const { host, isCopied } = readPlace(view, index);
      if (host === 0) continue;
      this.#add(host, this.#image.geometry.clusterSize, `L2 table ${index}`, true);
      if (seen.has(host)) {
        this.#report(`L2 table ${index} at ${host} is used twice`);
        continue;
      }
      seen.add(host);
      if (isActive) await this.#checkCopied(host, isCopied, `L2 table ${index}`);
      await this.#attempt(() => this.#walkL2(index, host, isActive));
    }
  }

  async #walkL2(index: number, host: number, isActive: boolean): Promise<void> {
    const bytes = this.#table;
    await this.#image.readTable("l2_load", host, `L2 table ${index}`, bytes);
    const table = new CachedTable(index, host, bytes);
    for (let place = 0; place < this.#image.geometry.l2Entries; place++) {
      let entry: ClusterEntry;
      try {
        entry = this.#image.entryAt(table, place);
      } catch (error) {
        if (!(error instanceof BlockError)) throw error;
        this.#report(error.message);
        continue;
      }
      if (entry.host === 0) continue;
      await this.#countCluster(entry, isActive);
    }
  }

  async #countCluster(entry: ClusterEntry, isActive: boolean): Promise<void> {
    const { host, kind, isCopied } = entry;
    if (kind === "compressed") {
      this.#add(host, entry.compressedBytes, "a compressed cluster");
      if (isActive) this.compressedClusters++;
    } else {
      this.#add(host, this.#image.geometry.clusterSize, "a cluster", true);
      if (isActive) await this.#checkCopied(host, isCopied, "the cluster");
    }
    if (isActive) this.dataClusters++;
  }

  /** The flag in an entry has to say whether the count in the file is 1. */
  async #checkCopied(host: number, isCopied: boolean, what: string): Promise<void> {
    const cluster = Math.floor(host / this.#image.geometry.clusterSize);
    const { perBlock, blocks } = this.#refcounts;
    const block = blocks.peek(Math.floor(cluster / perBlock));
    let count = 0;
    if (block !== undefined) count = this.#refcounts.countIn(block, cluster % perBlock);
    else await this.#attempt(async () => void (count = await this.#refcounts.countOf(cluster)));
    if ((count === 1) === isCopied) return;
    const words = isCopied ? "its own" : "shared";
    this.#report(`${what} at ${host} is called ${words}, and its count is ${count}`);
  }
}
