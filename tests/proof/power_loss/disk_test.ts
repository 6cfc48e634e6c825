import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Disk, type LossMode, SECTOR_BYTES } from "./disk.ts";
import type { FileAct } from "./file_acts.ts";

const CREATE: FileAct = { kind: "create", file: 1, path: "/d/a" };
const SYNC: FileAct = { kind: "sync", file: 1, path: "/d/a" };
const SYNC_FOLDER: FileAct = { kind: "syncFolder" };

function write(value: number, offset = 0, length = 2 * SECTOR_BYTES): FileAct {
  return { kind: "write", file: 1, offset, bytes: new Uint8Array(length).fill(value) };
}

function diskAfter(...acts: readonly FileAct[]): Disk {
  const disk = new Disk();
  for (const act of acts) disk.apply(act);
  return disk;
}

/** All outcomes of many losses, each as names with the first byte of each sector. */
function losses(disk: Disk, mode: LossMode = "mixed"): Set<string> {
  let state = 1;
  const random = () => (state = state * 16_807 % 2_147_483_647) / 2_147_483_647;
  const found = new Set<string>();
  for (let count = 0; count < 2_000; count++) {
    const parts = [...disk.image(mode, random)].map(([path, bytes]) => {
      const sectors = [...bytes].filter((_, index) => index % SECTOR_BYTES === 0);
      return `${path.slice(3)}:${sectors.join("")}`;
    });
    found.add(parts.sort().join(" "));
  }
  return found;
}

describe("Disk", () => {
  it("keeps what was synced, in every mode", () => {
    const disk = diskAfter(CREATE, write(1), SYNC, SYNC_FOLDER);
    for (const mode of ["synced", "written", "mixed"] as const) {
      assertEquals([...losses(disk, mode)], ["a:11"]);
    }
  });

  it("loses everything unsynced, nothing, or single sectors and the size", () => {
    const disk = diskAfter(CREATE, write(1), SYNC, SYNC_FOLDER, write(2), write(3, 1_024, 512));
    assertEquals([...losses(disk, "synced")], ["a:11"]);
    assertEquals([...losses(disk, "written")], ["a:223"]);
    const mixed = losses(disk);
    for (const state of ["a:11", "a:12", "a:21", "a:22", "a:110", "a:123", "a:223"]) {
      assert(mixed.has(state), state);
    }
    assertEquals(mixed.size, 4 * 3);
  });

  it("leaves of a sector that was written twice any of the versions", () => {
    const disk = diskAfter(CREATE, write(1), SYNC, SYNC_FOLDER, write(2), write(3));
    assertEquals(losses(disk).size, 9);
  });

  it("loses names apart from bytes, until their folder is synced", () => {
    assertEquals([...losses(diskAfter(CREATE, write(1), SYNC))].sort(), ["", "a:11"]);
    const move: FileAct = { kind: "rename", from: "/d/a", to: "/d/b" };
    const moved = diskAfter(CREATE, write(1), SYNC, SYNC_FOLDER, move);
    assertEquals([...losses(moved)].sort(), ["a:11", "b:11"]);
    const removed = diskAfter(CREATE, SYNC_FOLDER, { kind: "unlink", path: "/d/a" });
    assertEquals([...losses(removed)].sort(), ["", "a:"]);
  });

  it("cuts a file as one, and shows nothing behind a cut that did not happen", () => {
    const cut: FileAct = { kind: "resize", file: 1, size: 0 };
    const disk = diskAfter(CREATE, write(1), SYNC, SYNC_FOLDER, cut, write(2, 0, 512));
    assertEquals([...losses(disk)].sort(), ["a:", "a:0", "a:11", "a:2"]);
  });
});
