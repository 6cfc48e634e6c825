import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../engine/block/errors.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import {
  changeImageBitmap,
  type ImageBitmapChange,
  listImageBitmaps,
} from "../../../engine/drivers/images/bitmap_tools.ts";
import { imageInfo } from "../../../engine/drivers/images/tools.ts";
import { checkByQemu, qemuImg, qemuIo } from "../block/qcow2/qemu.ts";
import { bitmapsByQemu, bitsByQemu, HAS_DAEMON, NO_DAEMON } from "../block/qcow2/qemu_bitmaps.ts";
import { ImageFolder } from "../../support/images.ts";
import { itWhen } from "../../support/skip.ts";

const MIB = 1_048_576;

let folder: ImageFolder;
beforeEach(() => {
  folder = new ImageFolder();
});
afterEach(() => folder.remove());

async function make(name: string, size = 10 * MIB): Promise<string> {
  await (await createQcow2(folder.file(name), { size })).close();
  return folder.file(name);
}

/** What qemu-img is told for the same change. */
function forQemu(change: ImageBitmapChange): readonly string[] {
  switch (change.verb) {
    case "merge":
      return change.sources.flatMap((source) => ["--merge", source]);
    case "add": {
      const { granularity, isDisabled } = change;
      const own = granularity === undefined ? [] : ["-g", String(granularity)];
      return ["--add", ...own, ...isDisabled === true ? ["--disable"] : []];
    }
    default:
      return [`--${change.verb}`];
  }
}

describe("changeImageBitmap()", () => {
  itWhen(HAS_DAEMON, NO_DAEMON, "does to an image what qemu-img bitmap does", async () => {
    const [ours, theirs] = [await make("ours.qcow2"), await make("theirs.qcow2")];
    const both = async (name: string, change: ImageBitmapChange) => {
      await changeImageBitmap(ours, name, change);
      qemuImg("bitmap", ...forQemu(change), theirs, name);
      assertEquals(bitmapsByQemu(ours), bitmapsByQemu(theirs), `${change.verb} ${name}`);
    };
    const write = (...commands: readonly string[]) => {
      for (const path of [ours, theirs]) qemuIo(path, commands);
    };
    const compare = (...names: readonly string[]) => {
      for (const name of names) {
        assertEquals(bitsByQemu(folder, ours, name), bitsByQemu(folder, theirs, name), name);
      }
      assertEquals(checkByQemu(ours), { corruptions: 0, leaks: 0 });
    };
    await both("fine", { verb: "add", granularity: 512 });
    await both("rough", { verb: "add" });
    await both("off", { verb: "add", isDisabled: true });
    write("write 0 1000", "write 5M 64k");
    await both("fine", { verb: "disable" });
    await both("off", { verb: "enable" });
    write("write 9M 1M");
    compare("fine", "rough", "off");
    await both("off", { verb: "merge", sources: ["fine", "rough"] });
    compare("off");
    await both("rough", { verb: "clear" });
    await both("fine", { verb: "remove" });
    compare("rough", "off");
    const shape = [["rough", true], ["off", true]];
    assertEquals(bitmapsByQemu(ours).map(({ name, flags }) => [name, flags[0] === "auto"]), shape);
    const listed = await listImageBitmaps(ours);
    assertEquals(listed.map(({ name, isAuto }) => [name, isAuto]), shape);
    assertEquals((await imageInfo(ours)).bitmaps, listed);
  });

  it("refuses in QEMU's words, and leaves the image as it was", async () => {
    const [image, small] = [await make("a.qcow2"), await make("small.qcow2", MIB)];
    const raw = folder.write("r.raw", new Uint8Array(512));
    for (const path of [image, small]) await changeImageBitmap(path, "map", { verb: "add" });
    const before = await listImageBitmaps(image);
    const refuses = async (expected: string, name: string, change: ImageBitmapChange) => {
      const error = await assertRejects(() => changeImageBitmap(image, name, change), BlockError);
      assertEquals(error.message, expected);
    };
    await refuses("Bitmap already exists: map", "map", { verb: "add" });
    await refuses("Bitmap name cannot be empty", "", { verb: "add" });
    const granularity = "Granularity must be power of 2 and at least 512";
    await refuses(granularity, "x", { verb: "add", granularity: 768 });
    await refuses(
      `Can't make bitmap '${"n".repeat(1_024)}' persistent in '${image}': Name length exceeds ` +
        "maximum (1023 characters)",
      "n".repeat(1_024),
      { verb: "add" },
    );
    for (const verb of ["remove", "clear", "enable", "disable"] as const) {
      await refuses("Dirty bitmap 'x' not found", "x", { verb });
    }
    await refuses("Dirty bitmap 'x' not found", "map", { verb: "merge", sources: ["map", "x"] });
    await refuses(
      "Bitmaps are of different sizes (destination size is 10485760, source size is 1048576) " +
        "and can't be merged",
      "map",
      { verb: "merge", sources: ["map"], sourceImage: small },
    );
    assertEquals(await listImageBitmaps(image), before.map((each) => ({ ...each })));
    const error = await assertRejects(() => changeImageBitmap(raw, "b", { verb: "add" }));
    const text = `Can't store persistent bitmaps to ${raw}: Operation not supported`;
    assertEquals((error as Error).message, text);
    assertEquals(await listImageBitmaps(raw), []);
  });
});
