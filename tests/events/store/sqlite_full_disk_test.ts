import { afterEach, describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commitFailure } from "../../../events/store/sqlite/failures.ts";
import { RESERVE_BYTES } from "../../../events/store/sqlite/mod.ts";
import { itWhen } from "../../support/skip.ts";
import { batch, failure, LogFolder, record } from "./log_folder.ts";

const MIB = 1024 * 1024;

/** Mounts a tiny file system; undefined if this user may not. */
function mountSmall(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "joblog-full-"));
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "joblog", folder]);
  if (status === 0) return folder;
  rmdirSync(folder);
  return undefined;
}

function unmount(folder: string): void {
  spawnSync("umount", [folder]);
  rmdirSync(folder);
}

function mayMount(): boolean {
  const folder = mountSmall();
  if (folder !== undefined) unmount(folder);
  return folder !== undefined;
}

describe("a full disk", () => {
  let logs: LogFolder | undefined;
  let mounted: string | undefined;

  afterEach(async () => {
    await logs?.remove().catch(() => {});
    if (mounted !== undefined) unmount(mounted);
    logs = mounted = undefined;
  });

  it("is told by SQLite's text", () => {
    const error = commitFailure("/a.log", new Error("database or disk is full"));
    assertEquals([error.code, error.actual], ["commitFailed", "ENOSPC"]);
    const other = commitFailure("/a.log", new Error("disk I/O error"));
    assertEquals([other.code, other.actual], ["commitFailed", "disk I/O error"]);
  });

  it("finds a reserve whose blocks are really allocated, and makes it again", async () => {
    logs = new LogFolder();
    const backend = await logs.open({ reserve: true });
    const reserve = `${logs.path()}.reserve`;
    assertEquals(statSync(reserve).size, RESERVE_BYTES);
    assert(statSync(reserve).blocks * 512 >= RESERVE_BYTES, "not sparse");
    assert(await backend.sizeBytes() > RESERVE_BYTES, "the size counts it");
    assertEquals([await backend.releaseReserve(), statSync(reserve).size], [true, 2 * MIB]);
    assertEquals([await backend.restoreReserve(), statSync(reserve).size], [true, RESERVE_BYTES]);
    for (const size of [2 * MIB, undefined]) {
      const isFreed = await backend.releaseReserve();
      assertEquals([isFreed, statSync(reserve, { throwIfNoEntry: false })?.size], [true, size]);
    }
    assertEquals(await backend.releaseReserve(), false);
    assertEquals([await backend.restoreReserve(), statSync(reserve).size], [true, RESERVE_BYTES]);
  });

  itWhen(
    mayMount(),
    "this user may not mount a tmpfs",
    "fails the commit whole with ENOSPC, and" +
      " the freed reserve lets it through",
    async () => {
      mounted = mountSmall() ?? "";
      logs = new LogFolder(join(mounted, "."));
      const backend = await logs.open({ reserve: true });
      await backend.commit(batch(backend, [record(1, "a", 1)]));
      writeFileSync(join(mounted, "ballast"), new Uint8Array(3 * MIB + MIB / 2));
      const text = JSON.stringify({ filling: "x".repeat(MIB) });
      const large = batch(backend, [{ ...record(2, "a", 2), text }]);
      const error = await failure(backend.commit(large));
      assertEquals([error.code, error.actual], ["commitFailed", "ENOSPC"]);
      assertEquals((await backend.end()).position, 1);
      assertEquals(await backend.restoreReserve(), true, "it was never freed");

      assertEquals(await backend.releaseReserve(), true);
      await backend.commit(large);
      assertEquals((await backend.end()).position, 2);
      rmSync(join(mounted, "ballast"));
      assertEquals(await backend.restoreReserve(), true);
      assert(existsSync(`${logs.path()}.reserve`));
    },
  );
});
