import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import { execFileSync } from "node:child_process";
import { BlockError } from "../../../engine/block/errors.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import { RawNode } from "../../../engine/block/raw.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { FaultyNode } from "../../support/faulty_node.ts";
import { nodeConformance } from "./node_conformance.ts";

nodeConformance("FileNode", () => {
  const folder = new ImageFolder();
  return {
    async make(size) {
      const node = await FileNode.open(folder.file("a.raw"), { create: "exclusive" });
      await node.truncate(size);
      return node;
    },
    dispose: () => folder.remove(),
  };
});

describe("FileNode.open()", () => {
  let folder: ImageFolder;
  beforeEach(() => folder = new ImageFolder());
  afterEach(() => folder.remove());

  async function refusal(name: string, options = {}): Promise<BlockError> {
    return await assertRejects(() => FileNode.open(folder.file(name), options), BlockError);
  }

  it("says that a file is missing, by name", async () => {
    const error = await refusal("nope.raw");
    assertEquals([error.code, error.errno, error.operation], ["ENOENT", 2, "open"]);
    assertEquals(error.message, `Cannot open "${folder.file("nope.raw")}": it does not exist`);
  });

  it("says that the folder is missing in which a file was to be made", async () => {
    const path = folder.file("none/new.raw");
    const error = await refusal("none/new.raw", { create: "ifMissing" });
    assertEquals(error.code, "ENOENT");
    assertEquals(error.message, `Cannot make "${path}": its folder does not exist`);
  });

  it("says that a path is a folder, whatever is asked for", async () => {
    fs.mkdirSync(folder.file("sub"));
    assertEquals((await refusal("sub")).code, "EISDIR");
    assertEquals((await refusal("sub", { create: "ifMissing" })).code, "EISDIR");
    assertStringIncludes((await refusal("sub", { readOnly: true })).message, "found a folder");
  });

  it("refuses a pipe instead of waiting for its other end", async () => {
    execFileSync("mkfifo", [folder.file("pipe")]);
    assertEquals((await refusal("pipe", { readOnly: true })).code, "EINVAL");
  });

  it("says that a folder of the path is missing or is none", async () => {
    folder.write("file", noise(1));
    assertEquals((await refusal("no/a.raw", { create: "ifMissing" })).code, "ENOENT");
    assertEquals((await refusal("file/a.raw", { create: "ifMissing" })).code, "ENOTDIR");
  });

  it("makes a file only where it may", async () => {
    folder.write("old", noise(3));
    assertEquals((await refusal("old", { create: "exclusive" })).code, "EEXIST");
    const old = await FileNode.open(folder.file("old"), { create: "ifMissing" });
    const made = await FileNode.open(folder.file("new"), { create: "ifMissing" });
    assertEquals([old.isCreated, old.size, made.isCreated, made.size], [false, 3, true, 0]);
    await old.close();
    await made.close();
    assert(sameBytes(folder.read("old"), noise(3)));
  });

  it("resolves a relative path against the folder", async () => {
    folder.write("a.raw", noise(9));
    const node = await FileNode.open("./x/../a.raw", { folder: folder.path, readOnly: true });
    assertEquals([node.name, node.size], [folder.file("a.raw"), 9]);
    await node.close();
  });

  it("refuses to write what is open for reading", async () => {
    folder.write("a.raw", noise(9));
    const node = await FileNode.open(folder.file("a.raw"), { readOnly: true });
    for (const act of [() => node.write(0, noise(1)), () => node.zero(0, 1)]) {
      assertEquals((await assertRejects(act, BlockError)).code, "EBADF");
    }
    assertEquals((await assertRejects(() => node.truncate(1), BlockError)).code, "EBADF");
    await node.close();
  });
});

describe("FileNode.identity", () => {
  it("is the same for hard links, symbolic links and other spellings, else different", async () => {
    const folder = new ImageFolder();
    folder.write("a", noise(5));
    folder.write("b", noise(5));
    fs.linkSync(folder.file("a"), folder.file("hard"));
    fs.symlinkSync("a", folder.file("soft"));
    const names = ["a", "hard", "soft", "./a", "b"];
    const nodes = await Promise.all(
      names.map((name) => FileNode.open(name, { folder: folder.path, readOnly: true })),
    );
    const isSame = nodes.map((node) => node.identity === nodes[0]!.identity);
    assertEquals(isSame, [true, true, true, true, false]);
    await Promise.all(nodes.map((node) => node.close()));
    folder.remove();
  });
});

describe("FileNode.extent()", () => {
  const folder = new ImageFolder();
  afterEach(() => folder.remove());

  it("finds clusters of zeros in a sparse file and data in a full one", async () => {
    fs.mkdirSync(folder.path, { recursive: true });
    const size = 5 * 1_048_576 + 1;
    folder.sparse("sparse", size, [[70_000, 10], [3 * 1_048_576 - 1, 2]]);
    const node = await FileNode.open(folder.file("sparse"), { readOnly: true });
    const data: number[] = [];
    for (let offset = 0; offset < size;) {
      const piece = await node.extent(offset, size - offset);
      if (piece.kind === "data") {
        for (let at = 0; at < piece.length; at += 65_536) data.push(offset + at);
      }
      offset += piece.length;
    }
    // The grain before and the one after the boundary at 3 MiB, and that of byte 70,000.
    assertEquals(data, [65_536, 3 * 1_048_576 - 65_536, 3 * 1_048_576]);
    await node.close();
    folder.write("full", new Uint8Array(200_000));
    const full = await FileNode.open(folder.file("full"), { readOnly: true });
    assertEquals(await full.extent(0, 200_000), { offset: 0, length: 200_000, kind: "data" });
    await full.close();
  });
});

describe("FileNode.zero()", () => {
  it("keeps holes", async () => {
    const folder = new ImageFolder();
    folder.sparse("a", 8 * 1_048_576, [[1_048_576, 10]]);
    const before = folder.allocatedBytes("a");
    const node = await FileNode.open(folder.file("a"));
    await node.zero(0, node.size);
    await node.close();
    assert(folder.allocatedBytes("a") <= Math.max(before, 65_536));
    assert(folder.read("a").every((byte) => byte === 0));
    folder.remove();
  });
});

describe("FileNode.copyRange()", () => {
  let folder: ImageFolder;
  let target: FileNode;
  beforeEach(async () => {
    folder = new ImageFolder();
    target = await FileNode.open(folder.file("t"), { create: "exclusive" });
    await target.truncate(3_000_000);
  });
  afterEach(async () => {
    await target.close();
    folder.remove();
  });

  it("copies any range between two files", async () => {
    folder.write("s", noise(3_000_000));
    const source = await FileNode.open(folder.file("s"), { readOnly: true });
    await target.copyRange(source, 17, 1_000, 2_900_001);
    await source.close();
    const expected = noise(3_000_000).subarray(17, 17 + 2_900_001);
    assert(sameBytes(folder.read("t").subarray(1_000, 2_901_001), expected));
    assert(folder.read("t").subarray(2_901_001).every((byte) => byte === 0));
  });

  it("sees through a window", async () => {
    folder.write("s", noise(1_000));
    const file = await FileNode.open(folder.file("s"), { readOnly: true });
    const source = new RawNode(new RawNode(file, { offset: 100 }), { offset: 10, size: 50 });
    await target.copyRange(source, 5, 0, 45);
    await assertRejects(async () => await target.copyRange(source, 5, 0, 46), BlockError);
    await source.close();
    assert(sameBytes(folder.read("t").subarray(0, 45), noise(1_000).subarray(115, 160)));
  });

  it("says that it cannot, without touching anything, for another kind of node", async () => {
    folder.write("s", noise(1_000));
    const file = await FileNode.open(folder.file("s"), { readOnly: true });
    assertEquals(target.copyRange(new FaultyNode(file), 0, 0, 10), undefined);
    await file.close();
    assertEquals(folder.read("t")[0], 0);
  });

  it("says which half failed", async () => {
    folder.write("s", noise(100_000));
    const source = await FileNode.open(folder.file("s"), { readOnly: true });
    fs.truncateSync(folder.file("s"), 50_000);
    const act = async () => await target.copyRange(source, 0, 0, 100_000);
    const error = await assertRejects(act, BlockError);
    assertEquals([error.operation, error.code], ["read", "EIO"]);
    assertStringIncludes(error.message, "expected 100000 bytes, the file ends after 50000");
    await source.close();
  });
});

describe("FileNode.measure()", () => {
  it("sees another size and a deletion by others", async () => {
    const folder = new ImageFolder();
    folder.write("a", noise(10));
    const node = await FileNode.open(folder.file("a"), { readOnly: true });
    fs.appendFileSync(folder.file("a"), "x");
    assertEquals([node.size, await node.measure()], [10, 11]);
    fs.unlinkSync(folder.file("a"));
    const error = await assertRejects(() => node.measure(), BlockError);
    assertEquals(error.code, "ENOENT");
    await node.close();
    folder.remove();
  });
});

describe("FileNode.removeCreated()", () => {
  it("removes only a file that it made and that still has its name", async () => {
    const folder = new ImageFolder();
    const made = await FileNode.open(folder.file("a"), { create: "ifMissing" });
    const again = await FileNode.open(folder.file("a"), { create: "ifMissing" });
    await again.removeCreated();
    assert(fs.existsSync(folder.file("a")));
    fs.renameSync(folder.file("a"), folder.file("b"));
    folder.write("a", noise(1));
    await made.removeCreated();
    assert(fs.existsSync(folder.file("a")));
    fs.renameSync(folder.file("b"), folder.file("a"));
    await made.removeCreated();
    assert(!fs.existsSync(folder.file("a")));
    await made.close();
    await again.close();
    folder.remove();
  });
});
