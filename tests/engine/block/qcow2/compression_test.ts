/** Packing and unpacking of single clusters, apart from images. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { packClusters, unpackCluster } from "../../../../engine/block/qcow2/compression/codec.ts";
import { zstdFrameBytes } from "../../../../engine/block/qcow2/compression/zstd_frames.ts";
import { sameBytes } from "../../../support/images.ts";

const SIZE = 4_096;

function cluster(seed: number): Uint8Array {
  return new Uint8Array(SIZE).map((_, index) => index * seed >> 5);
}

function packed(type: "zlib" | "zstd", bytes: Uint8Array): Uint8Array {
  return packClusters({ type, clusterSize: SIZE, bytes }).bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

describe("unpackCluster()", () => {
  for (const type of ["zlib", "zstd"] as const) {
    it(`takes no notice of what follows: ${type}`, async () => {
      const one = packed(type, cluster(3));
      for (const rest of [new Uint8Array(300), one, packed(type, cluster(9)), one.slice(0, 9)]) {
        assert(sameBytes(await unpackCluster(type, joined(one, rest), SIZE), cluster(3)));
      }
    });

    it(`gives less than a cluster, or fails, when it is cut off: ${type}`, async () => {
      const one = packed(type, cluster(3));
      for (let length = 0; length < one.byteLength; length += 7) {
        const found = await unpackCluster(type, one.subarray(0, length), SIZE).catch(() => "fails");
        assert(found === "fails" || found.length < SIZE, `${length} bytes gave a cluster`);
      }
    });

    it(`fails when it holds more than a cluster: ${type}`, async () => {
      const two = packClusters({ type, clusterSize: 2 * SIZE, bytes: new Uint8Array(2 * SIZE) });
      await assertRejects(() => unpackCluster(type, two.bytes, SIZE));
    });
  }

  it("joins the zstd frames of one cluster", async () => {
    const halves = packClusters({ type: "zstd", clusterSize: SIZE / 2, bytes: cluster(5) });
    assertEquals(halves.lengths.length, 2);
    const bytes = joined(halves.bytes, packed("zstd", cluster(1)));
    assert(sameBytes(await unpackCluster("zstd", bytes, SIZE), cluster(5)));
  });
});

describe("packClusters()", () => {
  it("says 0 for a cluster that does not get shorter, and leaves its bytes out", () => {
    const random = crypto.getRandomValues(new Uint8Array(SIZE));
    const bytes = joined(cluster(3), random, cluster(3));
    for (const type of ["zlib", "zstd"] as const) {
      const one = packed(type, cluster(3)).byteLength;
      const found = packClusters({ type, clusterSize: SIZE, bytes });
      assertEquals(found.lengths, [one, 0, one]);
      assertEquals(found.bytes.byteLength, 2 * one);
    }
  });
});

describe("zstdFrameBytes()", () => {
  it("finds the end of blocks of every type", () => {
    const half = new Uint8Array(400_000);
    crypto.getRandomValues(half.subarray(150_000, 200_000));
    for (const bytes of [new Uint8Array(400_000), half, cluster(3)]) {
      const clusterSize = bytes.byteLength;
      const { bytes: frame } = packClusters({ type: "zstd", clusterSize, bytes });
      assert(frame.byteLength > 0);
      assertEquals(zstdFrameBytes(joined(frame, frame)), frame.byteLength);
    }
  });

  it("finds none in other bytes, nor in a frame that is cut off", () => {
    const frame = packed("zstd", cluster(3));
    assertEquals(zstdFrameBytes(new Uint8Array(100)), undefined);
    for (let length = 0; length < frame.byteLength; length++) {
      assertEquals(zstdFrameBytes(frame.subarray(0, length)), undefined);
    }
  });
});
