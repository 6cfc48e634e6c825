import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { checkByQemu, HAS_QEMU, qemuImg } from "../engine/block/qcow2/qemu.ts";
import { CliFolder } from "./cli_process.ts";

const MIB = 1_048_576;
const MADE_QCOW2 = `made a.QCOW2 in format qcow2, ${3 * MIB} bytes\n`;

let at: CliFolder;
beforeEach(() => {
  at = new CliFolder();
  writeFileSync(at.path("base.raw"), new Uint8Array(2 * MIB).fill(7));
});
afterEach(() => at.remove());

describe("joblog image", () => {
  it("create, info, map and check tell what qemu-img tells", async () => {
    const over = ["--backing", "base.raw", "--backing-format", "raw"];
    const made = await at.run("image", "create", "top.qcow2", "-f", "qcow2", ...over);
    assertEquals([made.status, made.out], [
      0,
      "made top.qcow2 in format qcow2, 2097152 bytes\n",
    ]);
    const info = await at.json("image", "info", "top.qcow2");
    assertEquals([info["virtual-size"], info["backing-filename"], info["cluster-size"]], [
      2 * MIB,
      "base.raw",
      65_536,
    ]);
    const map = await at.json("image", "map", "top.qcow2");
    assertEquals(map, [
      { start: 0, length: 2 * MIB, depth: 1, present: true, zero: false, data: true },
    ]);
    const check = await at.json("image", "check", "top.qcow2");
    assertEquals([check["check-errors"], check["allocated-clusters"]], [0, 0]);
    if (!HAS_QEMU) return;
    const theirs = JSON.parse(qemuImg("info", "--output=json", at.path("top.qcow2")));
    assertEquals(info["format-specific"].data.compat, theirs["format-specific"].data.compat);
  });

  it("convert and compare; 1 is the status of images that differ", async () => {
    const into = ["-O", "qcow2", "--cluster-size", "128K"];
    assertEquals((await at.run("image", "convert", "base.raw", "b.qcow2", ...into)).status, 0);
    const same = await at.run("image", "compare", "base.raw", "b.qcow2");
    assertEquals([same.status, same.out], [0, "they are equal\n"]);
    writeFileSync(at.path("other.raw"), new Uint8Array(2 * MIB).fill(7, 0, MIB));
    const differs = await at.run("image", "compare", "b.qcow2", "other.raw");
    assertEquals([differs.status, differs.out], [1, `they differ at offset ${MIB}\n`]);
    if (HAS_QEMU) assertEquals(checkByQemu(at.path("b.qcow2")), { corruptions: 0, leaks: 0 });
  });

  it("convert into compressed clusters, and refuse them for raw", async () => {
    const run = (...words: string[]) => at.run("image", "convert", "base.raw", ...words);
    assertEquals((await run("c.qcow2", "-c", "--compression-type", "zstd")).status, 0);
    const check = await at.json("image", "check", "c.qcow2");
    assert(check["compressed-clusters"] > 0);
    assertEquals(check["compressed-clusters"], check["allocated-clusters"]);
    const info = await at.json("image", "info", "c.qcow2");
    assertEquals(info["format-specific"].data["compression-type"], "zstd");
    assertEquals((await at.run("image", "compare", "base.raw", "c.qcow2")).status, 0);
    const raw = await run("c.raw", "--compress");
    assertEquals([raw.status, existsSync(at.path("c.raw"))], [2, false]);
  });

  it("refuse what a raw image has no place for, and make nothing", async () => {
    const zstd = ["--compression-type", "zstd"];
    const cases = [
      [["create", "x.raw", "1M", ...zstd], "compression-type", "-f"],
      [["create", "x.raw", "1M", "--cluster-size", "64K"], "cluster-size", "-f"],
      [["convert", "base.raw", "x.raw", ...zstd], "compression-type", "-O"],
    ] as const;
    for (const [words, name, flag] of cases) {
      const { status, err } = await at.run("image", ...words);
      assert(err.startsWith(`joblog: Cannot use ${name} "`), err);
      assert(err.includes(`a raw image can have: give ${flag} qcow2`), err);
      assertEquals([status, existsSync(at.path("x.raw"))], [2, false]);
    }
  });

  it("info tells what an image is below which a file is gone", async () => {
    const over = ["--backing", "base.raw", "--backing-format", "raw"];
    await at.run("image", "create", "top.qcow2", ...over);
    rmSync(at.path("base.raw"));
    const info = await at.json("image", "info", "top.qcow2");
    assertEquals([info["backing-filename"], info["virtual-size"]], ["base.raw", 2 * MIB]);
    const map = await at.run("image", "map", "top.qcow2");
    assertEquals([map.status, map.err.includes("base.raw")], [1, true], map.err);
  });

  it("info tells how clusters are compressed", async () => {
    const zstd = ["--compression-type", "zstd"];
    assertEquals((await at.run("image", "create", "z.qcow2", "1M", ...zstd)).status, 0);
    const { out } = await at.run("image", "info", "z.qcow2");
    assert(out.includes("\ncompat: 1.1\ncompression type: zstd\n"), out);
  });

  it("take the format from the name, a size behind it, and a backing beside it", async () => {
    assertEquals((await at.run("image", "create", "a.QCOW2", "3M")).out, MADE_QCOW2);
    assertEquals((await at.run("image", "create", "a.img", "512K")).status, 0);
    assertEquals((await at.json("image", "info", "a.img"))["virtual-size"], MIB / 2);
    assertEquals((await at.run("image", "convert", "base.raw", "b.qcow2")).status, 0);
    assertEquals((await at.json("image", "info", "b.qcow2"))["format"], "qcow2");
    mkdirSync(at.path("deep"));
    const over = ["--backing", "../base.raw", "--backing-format", "raw"];
    assertEquals((await at.run("image", "create", "deep/c.qcow2", ...over)).status, 0);
    assertEquals((await at.json("image", "info", "deep/c.qcow2"))["virtual-size"], 2 * MIB);
    const twice = await at.run("image", "create", "d.raw", "1M", "--size", "2M");
    assertEquals([twice.status, twice.err.includes("given twice")], [2, true], twice.err);
    const negative = await at.run("image", "create", "d.raw", "-1");
    assertEquals([negative.status, existsSync(at.path("d.raw"))], [2, false]);
  });

  it("says what cannot be done, with a hint", async () => {
    const check = await at.run("image", "check", "base.raw");
    assert(check.status !== 0);
    assert(check.err.includes("raw has nothing to be checked"), check.err);
    const create = await at.run("image", "create", "x.raw");
    assertEquals(create.status, 2);
    assert(create.err.includes("needs a size"), create.err);
    const over = ["--backing", "base.raw", "--backing-format", "raw"];
    const raw = await at.run("image", "create", "x.raw", "1M", ...over);
    assertEquals([raw.status, raw.err.includes("give -f qcow2")], [2, true], raw.err);
    const gone = await at.run("image", "info", "gone.raw");
    assertEquals([gone.status, gone.err.includes("hint: Check the path")], [1, true], gone.err);
    const taken = await at.run("image", "create", "base.raw", "1M");
    assertEquals([taken.status, taken.err.includes("already exists")], [1, true], taken.err);
  });
});

describe("joblog run backup", () => {
  it("backs a qcow2 chain up into a qcow2 image", async () => {
    const over = ["--backing", "base.raw", "--backing-format", "raw"];
    await at.run("image", "create", "a.qcow2", "-f", "qcow2", ...over);
    const files = ["--source", "a.qcow2", "--target", "b.qcow2", "--format", "qcow2"];
    const run = await at.run("run", "backup", ...files, "--sync", "full");
    assertEquals(run.status, 0, run.err);
    const same = await at.run("image", "compare", "a.qcow2", "b.qcow2");
    assertEquals(same.status, 0);
    const top = ["--source", "a.qcow2", "--target", "c.qcow2", "--sync", "top"];
    assertEquals((await at.run("run", "backup", ...top)).status, 0);
    assertEquals((await at.run("image", "compare", "a.qcow2", "c.qcow2")).status, 0);
    if (HAS_QEMU) assertEquals(checkByQemu(at.path("c.qcow2")), { corruptions: 0, leaks: 0 });
  });
});
