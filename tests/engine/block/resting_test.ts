import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import process from "node:process";
import { openJoblog } from "../../../mod.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { itWhen } from "../../support/skip.ts";

const MIB = 1_048_576;
const NO_PROC = "there is no /proc to count descriptors in";

/** What this process has open, by another program, which may look. */
function descriptors(): string {
  return spawnSync("ls", ["-l", `/proc/${process.pid}/fd`], { encoding: "utf8" }).stdout ?? "";
}

const HAS_PROC = descriptors().includes("->");

let folder: ImageFolder;
beforeEach(() => folder = new ImageFolder());
afterEach(() => folder.remove());

/** Files of the folder that this process has open. */
function openFiles(): string[] {
  const paths = descriptors().split("\n").map((line) => line.split(" -> ")[1] ?? "");
  const own = paths.filter((path) => path.startsWith(folder.path));
  return own.map((path) => path.slice(folder.path.length + 1)).sort();
}

describe("BlockNode.rest()", () => {
  itWhen(HAS_PROC, NO_PROC, "lets go of a descriptor until the next access", async () => {
    const node = await FileNode.open(folder.write("a", noise(10_000)));
    assertEquals(openFiles(), ["a"]);
    await node.rest();
    await node.rest();
    assertEquals(openFiles(), []);
    const pieces = [new Uint8Array(100), new Uint8Array(100)];
    await Promise.all(pieces.map((piece, index) => node.read(index * 100, piece)));
    assert(sameBytes(pieces[1]!, noise(200).subarray(100)));
    assertEquals(openFiles(), ["a"]);
    await node.rest();
    await node.write(0, new Uint8Array(5));
    await node.flush();
    await node.close();
    assertEquals([openFiles(), folder.read("a")[0]], [[], 0]);
  });

  it("finds out that another file has the name, or none", async () => {
    const path = folder.write("a", noise(1_000));
    const node = await FileNode.open(path);
    await node.rest();
    folder.write("b", noise(1_000, 2));
    fs.renameSync(folder.file("b"), path);
    const read = () => node.read(0, new Uint8Array(10));
    const stale = await assertRejects(read, BlockError, "another file has its name");
    assertEquals([stale.code, stale.errno], ["ESTALE", 116]);
    fs.unlinkSync(path);
    assertEquals((await assertRejects(read, BlockError)).code, "ENOENT");
    await node.close();
  });

  itWhen(HAS_PROC, NO_PROC, "lets go of a whole chain", async () => {
    folder.write("base", noise(MIB));
    const over = { backingFile: "base", backingFormat: "raw" } as const;
    await (await createQcow2(folder.file("top"), { size: MIB, ...over })).close();
    const node = await openQcow2(folder.file("top"));
    await node.write(0, noise(100, 4));
    await node.flush();
    await node.rest();
    assertEquals(openFiles(), []);
    const bytes = new Uint8Array(200);
    await node.read(0, bytes);
    assert(sameBytes(bytes.subarray(100), noise(200).subarray(100)));
    await node.close();
  });

  itWhen(HAS_PROC, NO_PROC, "is what a paused backup does; it ends with equal bytes", async () => {
    folder.write("source", noise(4 * MIB));
    const joblog = await openJoblog({
      path: folder.file("jobs.db"),
      baseFolder: folder.path,
    });
    const parameters = { source: "source", target: "target", format: "qcow2" };
    const job = await joblog.start({ type: "backup", id: "b", speed: MIB, parameters });
    await job.until(({ progress }) => progress.current > 0);
    await job.pause();
    await job.until(({ status }) => status === "paused");
    assertEquals(openFiles().filter((name) => !name.startsWith("jobs.db")), []);
    await job.setSpeed(0);
    await job.resume();
    assertEquals((await job.done).ret, 0);
    await joblog.close();
    const node = await openQcow2(folder.file("target"), { readOnly: true });
    const bytes = new Uint8Array(4 * MIB);
    await node.read(0, bytes);
    await node.close();
    assert(sameBytes(bytes, noise(4 * MIB)));
  });
});
