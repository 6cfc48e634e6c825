import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { CliFolder } from "./cli_process.ts";

/** Bit of the flags in an entry of a qcow2 bitmap directory: somebody has the image open. */
const IN_USE = 1;

let at: CliFolder;
beforeEach(async () => {
  at = new CliFolder();
  writeFileSync(at.path("base.raw"), new Uint8Array(1_048_576).fill(7));
  await at.run("image", "create", "top.qcow2", "-b", "base.raw", "--backing-format", "raw");
});
afterEach(() => at.remove());

/** What a refused command says: the text and the hint, without what stands before them. */
async function said(...args: string[]): Promise<readonly [string, string]> {
  const { status, out, err } = await at.run(...args);
  assert(status === 1 || status === 3, err);
  assertEquals(out, "");
  const [text, hint] = err.split("\n");
  return [text!.replace("joblog: ", ""), hint!.replace("hint: ", "")];
}

/** Leaves a bitmap as one that whoever wrote the image last has never stored. */
function markInUse(path: string, name: string): void {
  const bytes = readFileSync(path);
  const entry = bytes.lastIndexOf(name) - 24;
  bytes[entry + 15]! |= IN_USE;
  writeFileSync(path, bytes);
}

describe("hints of joblog", () => {
  it("of stream and commit say what to do about a name for headers", async () => {
    const name = ["--device", "top.qcow2", "--backing-file", "other"];
    assertEquals(await said("run", "stream", ...name), [
      "backing file specified, but streaming the entire chain",
      'Name what stays below as "base", or leave "backing-file" out.',
    ]);
    assertEquals(await said("run", "commit", ...name), [
      "'backing-file' specified, but 'top' is the active layer",
      'Leave "backing-file" out, or name an inner image as "top".',
    ]);
    const two = ["--base", "base.raw", "--base-node", "base.raw"];
    const [, hint] = await said("run", "commit", "--device", "top.qcow2", ...two);
    assertEquals(hint, "Give one of them.");
  });

  it("of backup say which mode goes with which sync", async () => {
    assertEquals((await at.run("bitmap", "add", "top.qcow2", "b0")).status, 0);
    const backup = (...more: string[]) =>
      said("run", "backup", "--source", "top.qcow2", "--target", "copy.raw", ...more);
    const cases = [
      [["--sync", "incremental", "--bitmap", "b9"], /^Name a bitmap that the source has; /],
      [["--sync", "bitmap", "--bitmap", "b0"], /^Give "bitmap-mode" as on-success, always or/],
      [["--bitmap-mode", "never"], /^Name a "bitmap", or leave "bitmap-mode" out/],
      [["--bitmap", "b0", "--bitmap-mode", "never"], /on-success or always, or "sync" as bitmap/],
      [
        ["--sync", "incremental", "--bitmap", "b0", "--bitmap-mode", "always"],
        /^Leave "bitmap-mode" out, or give "sync" as bitmap/,
      ],
    ] as const;
    for (const [words, hint] of cases) {
      const [text, found] = await backup(...words);
      assert(hint.test(found), `${text}: ${found}`);
    }
    assertEquals(existsSync(at.path("copy.raw")), false);
  });

  it("of an inconsistent bitmap name whoever may have its image open", async () => {
    assertEquals((await at.run("bitmap", "add", "top.qcow2", "lostmap")).status, 0);
    markInUse(at.path("top.qcow2"), "lostmap");
    const text = "Bitmap 'lostmap' is inconsistent and cannot be used";
    const cleared = await said("bitmap", "clear", "top.qcow2", "lostmap");
    assertEquals([cleared[0], cleared[1].startsWith("End what has its image open")], [text, true]);
    const by = ["--sync", "incremental", "--bitmap", "lostmap"];
    const files = ["--source", "top.qcow2", "--target", "copy.raw"];
    const copied = await said("run", "backup", ...files, ...by);
    assertEquals([copied[0], copied[1].includes("remove it, and begin")], [text, true]);
  });

  it("of images and bitmaps speak of what was given", async () => {
    const cluster = await said("image", "create", "x.qcow2", "1M", "--cluster-size", "1000");
    assertEquals(cluster[1], "Give the new image another value there.");
    const from = await said("bitmap", "merge", "top.qcow2", "a", "b", "-b", "base.raw");
    assertEquals(from, [
      "Dirty bitmap 'b' not found",
      "A raw image keeps no bitmaps: name a qcow2 image.",
    ]);
    const [, long] = await said("bitmap", "add", "top.qcow2", "n".repeat(1_024));
    assert(long.startsWith("Use a shorter name or fewer bitmaps"), long);
    const self = ["-b", "a.qcow2", "--backing-format", "qcow2"];
    assertEquals((await at.run("image", "create", "a.qcow2", "1M")).status, 0);
    assertEquals((await at.run("image", "create", "b.qcow2", ...self)).status, 0);
    // The lower image's name, put where the upper one names its backing file.
    const bytes = readFileSync(at.path("b.qcow2"));
    const place = bytes.lastIndexOf("a.qcow2");
    bytes.write("b.qcow2", place);
    writeFileSync(at.path("b.qcow2"), bytes);
    const ring = await said("image", "map", "b.qcow2");
    assert(ring[0].endsWith("its backing chain is a ring"), ring[0]);
    assertEquals(ring[1], 'Give it another backing file than "b.qcow2".');
  });
});
