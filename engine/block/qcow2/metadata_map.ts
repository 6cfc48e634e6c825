/** Which clusters of the file hold tables, so that no data is ever written over one. */

import { corrupt } from "./failures.ts";
import type { Qcow2Image } from "./image.ts";
import type { Refcounts } from "./refcounts.ts";

/** The clusters of header, tables and blocks. */
export class MetadataMap {
  readonly #image: Qcow2Image;
  readonly #refcounts: Refcounts;
  readonly #l2Clusters = new Set<number>();

  /** Collects what the tables say now. */
  constructor(image: Qcow2Image, refcounts: Refcounts) {
    this.#image = image;
    this.#refcounts = refcounts;
    const entryCount = image.l1.byteLength / 8;
    for (let index = 0; index < entryCount; index++) {
      const { host } = image.l2Place(index);
      if (host !== 0) this.addL2(host);
    }
  }

  /** Notes a new L2 table. */
  addL2(host: number): void {
    this.#l2Clusters.add(host / this.#image.geometry.clusterSize);
  }

  /** Forgets an L2 table. */
  removeL2(host: number): void {
    this.#l2Clusters.delete(host / this.#image.geometry.clusterSize);
  }

  /**
   * Checks that `count` clusters from cluster `first` on hold no table.
   *
   * @throws {BlockError} EIO when one does: the image is corrupt
   */
  checkFree(first: number, count: number): void {
    const { clusterSize } = this.#image.geometry;
    const { bitmapDirectory } = this.#image;
    const { l1Offset, snapshotOffset, snapshotCount } = this.#image.header;
    const places: readonly (readonly [number, number])[] = [
      [0, 1],
      [l1Offset, this.#image.l1.byteLength],
      this.#refcounts.tablePlace,
      [snapshotOffset, snapshotCount],
      [bitmapDirectory?.offset ?? 0, bitmapDirectory?.bytes ?? 0],
    ];
    let isHit = places.some(([offset, bytes]) =>
      bytes > 0 && offset < (first + count) * clusterSize && offset + bytes > first * clusterSize
    );
    for (let cluster = first; !isHit && cluster < first + count; cluster++) {
      isHit = this.#l2Clusters.has(cluster) || this.#refcounts.blockClusters.has(cluster);
    }
    if (!isHit) return;
    const where = `at ${first * clusterSize}`;
    throw corrupt(this.#image.name, "write", `a table lies where data should go, ${where}`);
  }
}
