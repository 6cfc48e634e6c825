import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import { JoblogError } from "../../../events/log/errors.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import {
  backingOfNew,
  checkBacking,
  checkSizes,
  openPair,
  type PairRequest,
} from "../../../engine/drivers/images/pair.ts";
import * as parameters from "../../../engine/drivers/images/parameters.ts";
import { openSourceImage } from "../../../engine/drivers/images/source.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";

const MIB = 1_048_576;

let folder: ImageFolder;
beforeEach(() => folder = new ImageFolder());
afterEach(() => folder.remove());

async function qcow2(name: string, size: number, backing?: "raw" | "qcow2", below = "base") {
  const own = backing === undefined ? {} : { backingFile: below, backingFormat: backing };
  const node = await createQcow2(folder.file(name), { size, ...own });
  await node.write(0, noise(65_536));
  await node.close();
}

async function pairOf(request: Partial<PairRequest> = {}, isRecovery = false) {
  const context = { isRecovery, baseFolder: folder.path };
  return await openPair({ source: "a", target: "b", mode: undefined, ...request }, context);
}

async function refusalOf(request: Partial<PairRequest>): Promise<string> {
  return (await assertRejects(() => pairOf(request), JoblogError)).message;
}

describe("openSourceImage()", () => {
  it("finds the format by the first bytes, and takes what no format knows for raw", async () => {
    await qcow2("a", MIB);
    folder.write("b", noise(1_000));
    folder.write("empty", new Uint8Array(0));
    for (const [name, format] of [["a", "qcow2"], ["b", "raw"], ["empty", "raw"]] as const) {
      const image = await openSourceImage(name, { folder: folder.path });
      assertEquals([image.format, image.path], [format, folder.file(name)]);
      await image.node.close();
    }
  });

  it("takes the format that is given", async () => {
    await qcow2("a", MIB);
    const image = await openSourceImage("a", { folder: folder.path, format: "raw" });
    assertEquals(image.node.size, fs.statSync(folder.file("a")).size);
    await image.node.close();
    folder.write("b", noise(1_000));
    const act = () => openSourceImage("b", { folder: folder.path, format: "qcow2" });
    assertEquals((await assertRejects(act, BlockError)).code, "EINVAL");
  });

  it("refuses a format that it cannot read, by name", async () => {
    folder.write("a", new TextEncoder().encode("KDMV and more"));
    const act = () => openSourceImage("a", { folder: folder.path });
    const error = await assertRejects(act, BlockError, 'in the format "vmdk"');
    assertEquals(error.code, "ENOTSUP");
  });

  it("knows all files of the chain and what is below the top", async () => {
    await qcow2("base", MIB);
    await qcow2("a", MIB, "qcow2");
    const image = await openSourceImage("a", { folder: folder.path });
    assertEquals(image.files.map(({ name, use }) => [name, use]), [
      [folder.file("a"), "read"],
      [folder.file("base"), "read"],
    ]);
    assertEquals(image.backing, { path: folder.file("base"), format: "qcow2" });
    assertEquals(backingOfNew("top", image), image.backing);
    assertEquals(backingOfNew("none", image), { path: folder.file("a"), format: "qcow2" });
    assertEquals(backingOfNew("full", image), undefined);
    assertEquals((await image.topExtent?.(0, MIB))?.length, 65_536);
    await image.node.close();
  });
});

describe("openPair()", () => {
  it("makes a target in the source's format when it runs, not before", async () => {
    await qcow2("a", 3 * MIB);
    const pair = await pairOf();
    assertEquals([pair.target.format, pair.target.isOpen, pair.target.isCreated], [
      "qcow2",
      false,
      true,
    ]);
    assertEquals(fs.statSync(folder.file("b")).size, 0);
    const node = await pair.target.make({ size: pair.source.node.size });
    assertEquals([node.size, pair.target.clusterSize], [3 * MIB, 65_536]);
    await pair.target.close();
    await pair.source.node.close();
    if (HAS_QEMU) assertEquals(checkByQemu(folder.file("b")), { corruptions: 0, leaks: 0 });
  });

  it("rounds the size of a qcow2 target up to what others count in", async () => {
    folder.write("a", noise(1_000));
    const pair = await pairOf({ format: "qcow2" });
    assertEquals((await pair.target.make({ size: 1_000 })).size, 1_024);
    checkSizes(pair.source, pair.target);
    await pair.target.close();
    await pair.source.node.close();
  });

  it("probes a target that exists, and takes its cluster size", async () => {
    folder.write("a", noise(MIB));
    const made = await createQcow2(folder.file("b"), { size: MIB, clusterSize: 2 * MIB });
    await made.close();
    const pair = await pairOf({ mode: "existing" });
    assertEquals([pair.target.format, pair.target.clusterSize], ["qcow2", 2 * MIB]);
    assertEquals(pair.target.files.map(({ use }) => use), ["write"]);
    await pair.target.close();
    await pair.source.node.close();
  });

  it("does not let a header be written into a target whose format was guessed", async () => {
    await qcow2("a", MIB);
    const size = fs.statSync(folder.file("a")).size;
    folder.write("b", new Uint8Array(size));
    for (const format of [undefined, "raw"] as const) {
      const pair = await pairOf({ mode: "existing", sourceFormat: "raw", format });
      const { node } = pair.target;
      const header = fs.readFileSync(folder.file("a")).subarray(0, 1_024);
      const copying = node.copyRange?.(pair.source.node, 0, 0, 512);
      assertEquals(copying === undefined, format === undefined);
      await copying;
      if (format === undefined) {
        const error = await assertRejects(() => node.write(0, header), BlockError, "guessed");
        assertEquals(error.code, "EPERM");
        await node.write(0, noise(1_024));
      } else await node.write(0, header);
      await pair.target.close();
      await pair.source.node.close();
    }
  });

  it("refuses the source itself and what is below it, and leaves them alone", async () => {
    await qcow2("base", MIB);
    await qcow2("a", MIB, "qcow2");
    const before = ["base", "a"].map((name) => folder.read(name));
    for (const mode of [undefined, "existing", "absolute-paths"] as const) {
      assertEquals(
        await refusalOf({ target: "a", mode }),
        "Source and target cannot be the same",
      );
      const [top, base] = [folder.file("a"), folder.file("base")];
      const busy = `Node '${base}' is busy: node is used as backing hd of '${top}'`;
      assertEquals(await refusalOf({ target: "base", mode }), busy);
    }
    assert(["base", "a"].every((name, index) => sameBytes(before[index]!, folder.read(name))));
  });

  it("leaves no file behind when it refuses", async () => {
    folder.write("a", noise(1_000));
    const context = { isRecovery: false, baseFolder: folder.path };
    const check = () => {
      throw new JoblogError("invalidParameter", "no");
    };
    const request = { source: "a", target: "b", mode: undefined };
    await assertRejects(() => openPair(request, context, { check }), JoblogError, "no");
    assertEquals(fs.existsSync(folder.file("b")), false);
  });

  it("claims every file of both chains once, and gives all back at a refusal", async () => {
    await qcow2("base", MIB);
    await qcow2("a", MIB, "qcow2");
    await qcow2("b", MIB, "qcow2");
    const held: string[] = [];
    const claim = (subject: string, use: string) => {
      if (held.some((other) => other.endsWith(subject))) return Promise.resolve(undefined);
      held.push(`${use} ${subject}`);
      const text = `${use} ${subject}`;
      return Promise.resolve(() => void held.splice(held.indexOf(text), 1));
    };
    const context = { isRecovery: false, baseFolder: folder.path, claim };
    const request = { source: "a", target: "b", mode: "existing" } as const;
    const pair = await openPair(request, context);
    assertEquals(held.map((text) => text.split(" ")[0]), ["read", "read", "write"]);
    const error = await assertRejects(() => openPair(request, context), BlockError, "is busy");
    assertEquals([error.code, held.length], ["EBUSY", 3]);
    pair.release();
    assertEquals(held, []);
    await pair.target.close();
    await pair.source.node.close();
  });

  it("opens anew what was removed or written before the claim was given", async () => {
    folder.write("a", noise(1_000));
    const meanwhile = {
      read: [() => fs.truncateSync(folder.file("a"), 500)],
      write: [() => fs.unlinkSync(folder.file("b")), () => fs.unlinkSync(folder.file("b"))],
    };
    const claim = (_subject: string, use: "read" | "write") => {
      meanwhile[use].shift()?.();
      return Promise.resolve(() => {});
    };
    const context = { isRecovery: false, baseFolder: folder.path, claim };
    const pair = await openPair({ source: "a", target: "b", mode: undefined }, context);
    assertEquals([meanwhile.write.length, pair.source.node.size], [0, 500]);
    assertEquals(fs.statSync(folder.file("b")).ino, Number(pair.target.identity.split(":")[1]));
    await pair.target.close();
    await pair.source.node.close();
  });

  it("leaves a file that it made to whoever has claimed it by then", async () => {
    folder.write("a", noise(1_000));
    const claim = (_subject: string, use: string) =>
      Promise.resolve(use === "write" ? undefined : () => {});
    const context = { isRecovery: false, baseFolder: folder.path, claim };
    const request = { source: "a", target: "b", mode: undefined };
    await assertRejects(() => openPair(request, context), BlockError, "is busy");
    assertEquals(fs.existsSync(folder.file("b")), true);
  });

  it("refuses a raw target over a backing file", async () => {
    await qcow2("base", MIB);
    await qcow2("a", MIB, "qcow2");
    const pair = await pairOf({ format: "raw" });
    const act = () => checkBacking(pair.target, backingOfNew("top", pair.source));
    assertThrows(act, JoblogError, "Backing file not supported for file format 'raw'");
    checkBacking(pair.target, undefined);
    await pair.target.close();
    await pair.source.node.close();
  });
});

describe("parameters of image jobs", () => {
  it("read formats, booleans and choices, and refuse what they do not know", () => {
    assertEquals(parameters.formatParameter({ format: "raw" }, "format"), "raw");
    assertEquals(parameters.formatParameter({}, "format"), undefined);
    assertEquals(parameters.booleanParameter({ x: true }, "x", false), true);
    const cases: [() => unknown, string][] = [
      [
        () => parameters.formatParameter({ format: "vmdk" }, "format"),
        "Unknown file format 'vmdk'",
      ],
      [
        () => parameters.booleanParameter({ x: 1 }, "x", false),
        "Invalid parameter type for 'x', expected: boolean",
      ],
      [() => parameters.refuseUnknown({ y: 1 }, ["x"]), "Parameter 'y' is unexpected"],
    ];
    for (const [act, text] of cases) {
      assertEquals(assertThrows(act, JoblogError).message, text);
    }
  });
});
