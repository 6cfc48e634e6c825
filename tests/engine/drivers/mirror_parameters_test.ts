import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { DirtyArea } from "../../../engine/block/dirty_map.ts";
import { mirror } from "../../../engine/drivers/mirror.ts";
import { mirrorGrain } from "../../../engine/drivers/mirror/parameters.ts";
import {
  mirrorResumePoint,
  readMirrorResumePoint,
  RESUME_AREAS_MAX,
} from "../../../engine/drivers/mirror/resume_point.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { JoblogError } from "../../../events/log/errors.ts";

const KIB = 1_024;
const MIB = 1_048_576;

const refusalOf = (input: JsonObject) => {
  const raw = { source: "a", target: "b", ...input };
  const error = assertThrows(() => mirror.parameters(raw), JoblogError);
  assertEquals(error.code, "invalidParameter");
  return error.message;
};

describe("mirrorParameters()", () => {
  it("fills in QEMU's defaults", () => {
    assertEquals(mirror.parameters({ source: "a", target: "b" }), {
      source: "a",
      target: "b",
      sync: "full",
      granularity: 0,
      "buf-size": 0,
      "copy-mode": "background",
      "on-source-error": "report",
      "on-target-error": "report",
      unmap: true,
      "target-is-zero": false,
    });
  });

  it("keeps what was given", () => {
    const given = {
      source: "a",
      target: "b",
      sync: "top",
      replaces: "x",
      mode: "existing",
      format: "qcow2",
      "source-format": "raw",
      granularity: 512,
      "buf-size": 1,
      "copy-mode": "write-blocking",
      "on-source-error": "stop",
      "on-target-error": "enospc",
      unmap: false,
      "target-is-zero": true,
    };
    assertEquals(mirror.parameters(given) as JsonObject, given);
  });

  it("refuses with QEMU's words", () => {
    const range = "Parameter 'granularity' expects a value in range [512B, 64MB]";
    for (const granularity of [-1, 1, 511, 64 * MIB + 1, 128 * MIB]) {
      assertEquals(refusalOf({ granularity }), range);
    }
    const power = "Parameter 'granularity' expects a power of 2";
    for (const granularity of [513, 65_537, 3 * 65_536]) {
      assertEquals(refusalOf({ granularity }), power);
    }
    assertEquals(refusalOf({ "buf-size": -1 }), "Invalid parameter 'buf-size'");
    assertEquals(refusalOf({ sync: "incremental" }), "Sync mode 'incremental' not supported");
    assertEquals(refusalOf({ sync: "bitmap" }), "Sync mode 'bitmap' not supported");
    assertEquals(refusalOf({ sync: "all" }), "Parameter 'sync' does not accept value 'all'");
    const mode = "Parameter 'copy-mode' does not accept value 'fast'";
    assertEquals(refusalOf({ "copy-mode": "fast" }), mode);
    assertEquals(refusalOf({ unmap: 1 }), "Invalid parameter type for 'unmap', expected: boolean");
    assertEquals(refusalOf({ format: "vmdk" }), "Unknown file format 'vmdk'");
    assertEquals(refusalOf({ speed: 1 }), "Parameter 'speed' is unexpected");
  });

  it("reports the first fault in order", () => {
    const both = refusalOf({ granularity: 3, sync: "bitmap", "buf-size": -1 });
    assertEquals(both, "Parameter 'granularity' expects a value in range [512B, 64MB]");
    assertEquals(
      refusalOf({ sync: "bitmap", "buf-size": -1 }),
      "Sync mode 'bitmap' not supported",
    );
  });
});

describe("mirrorGrain()", () => {
  const grain = (clusterSize: number, granularity = 0, bufSize = 0) => {
    const of = { granularity, "buf-size": bufSize };
    const { granularity: bit, bufferBytes, operationBytes } = mirrorGrain(of, clusterSize);
    return [bit / KIB, bufferBytes / KIB, operationBytes / KIB];
  };

  it("takes the target's clusters between 4 and 64 KiB, else 64 KiB", () => {
    assertEquals(grain(1), [64, 16_384, 1_024]);
    assertEquals(grain(512), [4, 16_384, 1_024]);
    assertEquals(grain(16 * KIB), [16, 16_384, 1_024]);
    assertEquals(grain(2 * MIB), [64, 16_384, 1_024]);
  });

  it("rounds buf-size up to granules, and cuts operations by it", () => {
    assertEquals(grain(1, 8_192, 4_096), [8, 8, 1_024]);
    assertEquals(grain(1, 0, 64 * MIB), [64, 65_536, 4_096]);
    assertEquals(grain(1, 4 * MIB), [4_096, 16_384, 4_096]);
  });

  it("cuts few large operations of buf-size where images copy between themselves", () => {
    const offloaded = (granularity: number, bufSize: number) =>
      mirrorGrain({ granularity, "buf-size": bufSize }, 1).offloadedBytes / KIB;
    assertEquals(offloaded(0, 0), 4_096);
    assertEquals(offloaded(0, MIB), 1_024);
    assertEquals(offloaded(0, 256 * MIB), 16_384);
    assertEquals(offloaded(0, 64 * MIB), 8_192);
    assertEquals(offloaded(8 * MIB, 0), 8_192);
  });
});

describe("mirrorResumePoint()", () => {
  it("is read back as it was written", () => {
    const areas = [{ offset: 0, length: 5 }, { offset: 10, length: 7 }];
    const point = mirrorResumePoint(areas, 100, "s");
    assertEquals(point, { todo: [[0, 5], [10, 7]], size: 100, stamp: "s" });
    assertEquals(readMirrorResumePoint(point), point);
    const bare = mirrorResumePoint([], 0, undefined);
    assertEquals(readMirrorResumePoint(bare), { todo: [], size: 0 });
  });

  it("joins over the smallest gaps when there are too many areas", () => {
    const areas: DirtyArea[] = [];
    for (let index = 0; index < RESUME_AREAS_MAX + 1; index++) {
      // The third gap and the last one are the narrowest.
      const shift = index > 2 ? -3 : 0;
      areas.push({ offset: index * 10 + shift, length: 4 });
    }
    areas.push({ offset: areas.at(-1)!.offset + 5, length: 4 });
    const { todo } = mirrorResumePoint(areas, 10_000, undefined);
    assertEquals(todo.length, RESUME_AREAS_MAX);
    assertEquals(todo[2], [20, 11]);
    assertEquals(todo.at(-1), [areas.at(-2)!.offset, 9]);
    const isCovered = areas.every(({ offset, length }) =>
      todo.some(([at, span]) => at <= offset && offset + length <= at + span)
    );
    assertEquals(isCovered, true);
  });

  it("refuses what is no checkpoint of a mirror", () => {
    for (const value of [undefined, null, 1, [], {}, { todo: [], size: "1" }]) {
      assertEquals(readMirrorResumePoint(value), undefined);
    }
    for (const todo of [[[1]], [[-1, 2]], [[1, 2, 3]], ["x"], [[0.5, 1]]]) {
      assertEquals(readMirrorResumePoint({ todo, size: 1 }), undefined);
    }
  });
});
