import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { formatQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { createQcow2, openQcow2, Qcow2Node } from "../../../../engine/block/qcow2/mod.ts";
import { Qcow2Image } from "../../../../engine/block/qcow2/image.ts";
import { ImageFolder, noise, sameBytes } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { MemoryNode } from "../memory_node.ts";
import { HAS_QEMU, NO_QEMU, qemuImg } from "./qemu.ts";
import { RecordingNode, replay } from "./recording_node.ts";

const SIZE = 1_048_576;

/** The name and format in the header of a file in memory. */
async function referenceIn(bytes: Uint8Array) {
  const { backingName, backingFormat } = await Qcow2Image.readHeader(
    new RecordingNode(bytes.slice()),
  );
  return [backingName, backingFormat];
}

const SHAPES = [
  { compat: "1.1", clusterSize: 65_536 },
  { compat: "1.1", clusterSize: 512 },
  { compat: "0.10", clusterSize: 512 },
] as const;

const NAMES = [
  [undefined, undefined],
  ["a", "raw"],
  ["base.qcow2", "qcow2"],
  ["a/longer/name/".repeat(9), "raw"],
  ["no format", undefined],
] as const;

describe("Qcow2Node.setBacking()", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
    folder.write("base.raw", noise(SIZE));
  });
  afterEach(() => folder.remove());

  it("after any of its writes the header names the old file or the new one", async () => {
    for (const shape of SHAPES) {
      for (const [from, fromFormat] of NAMES) {
        for (const [to, toFormat] of NAMES) {
          const file = new RecordingNode();
          await formatQcow2(file, { ...shape, size: SIZE });
          const header = await Qcow2Image.readHeader(file);
          const node = await Qcow2Node.over(file, header, { isReadOnly: false });
          await node.write(0, noise(10));
          const make = (name?: string, format?: string) =>
            name === undefined ? undefined : { name, ...(format === undefined ? {} : { format }) };
          await node.setBacking(make(from, fromFormat));
          const start = file.bytes.slice();
          file.changes.length = 0;
          await node.setBacking(make(to, toFormat));
          for (let count = 0; count <= file.changes.length; count++) {
            const found = await referenceIn(replay(start, file.changes.slice(0, count)));
            const isOld = found[0] === from && found[1] === fromFormat;
            const isNew = found[0] === to && found[1] === toFormat;
            assert(isOld || isNew, `${from} to ${to} after ${count}: ${found}`);
            if (count === file.changes.length) assert(isNew, `${from} to ${to}: ${found}`);
          }
          assertEquals([node.header.backingName, node.header.backingFormat], [to, toFormat]);
          await node.close();
        }
      }
    }
  });

  it("writes one sector at last when the extensions lie in it", async () => {
    const file = new RecordingNode();
    const size = SIZE;
    await formatQcow2(file, { size, backingFile: "base.raw", backingFormat: "raw" });
    const header = await Qcow2Image.readHeader(file);
    const node = await Qcow2Node.over(file, header, { isReadOnly: false });
    file.changes.length = 0;
    await node.setBacking({ name: "other.qcow2", format: "qcow2" });
    const writes = file.changes.filter((change) => change.kind === "write");
    assertEquals(writes.at(-1)?.offset, 0);
    assertEquals(writes.at(-1)?.bytes.byteLength, 512);
    await node.close();
  });

  it("refuses a name that does not fit, and changes nothing", async () => {
    const path = folder.file("top.qcow2");
    const node = await createQcow2(path, { size: SIZE, clusterSize: 512 });
    await assertRejects(() => node.setBacking({ name: "x".repeat(500) }), BlockError, "too long");
    await node.setBacking({ name: "base.raw", format: "raw" });
    await node.close();
    const again = await openQcow2(path);
    assertEquals(again.header.backingName, "base.raw");
    await assertRejects(() => again.setBacking({ name: "x".repeat(1_024) }), BlockError);
    await again.close();
    const reader = await openQcow2(path, { readOnly: true });
    await assertRejects(() => reader.setBacking(undefined), BlockError, "open for reading only");
    await reader.close();
  });

  it("replaceBacking shows another node at once and hands back the one before", async () => {
    const node = await createQcow2(folder.file("top.qcow2"), { size: SIZE });
    await node.write(0, noise(10, 5));
    const backing = new MemoryNode(noise(SIZE));
    const bytes = new Uint8Array(5);
    const [before] = await Promise.all([node.replaceBacking(backing), node.read(100_000, bytes)]);
    assertEquals([before, bytes], [undefined, noise(SIZE).slice(100_000, 100_005)]);
    assertEquals(await node.replaceBacking(undefined), backing);
    await node.read(100_000, bytes);
    assertEquals([...bytes], [0, 0, 0, 0, 0]);
    await node.close();
    assertEquals(backing.isClosed, false);
  });

  itWhen(HAS_QEMU, NO_QEMU, "QEMU reads the new name and the bytes through it", async () => {
    for (const origin of ["ours", "theirs"]) {
      const path = folder.file(`${origin}.qcow2`);
      if (origin === "ours") await (await createQcow2(path, { size: SIZE })).close();
      else qemuImg("create", "-f", "qcow2", path, String(SIZE));
      const node = await openQcow2(path);
      await node.write(70_000, noise(10, 3));
      await node.setBacking({ name: "base.raw", format: "raw" });
      await node.close();
      const info = JSON.parse(qemuImg("info", "--output=json", path));
      const found = [info["backing-filename"], info["backing-filename-format"]];
      assertEquals(found, ["base.raw", "raw"]);
      qemuImg("check", path);
      const flat = folder.file(`${origin}.raw`);
      qemuImg("convert", "-O", "raw", path, flat);
      // The rest of its cluster was zero when it was written.
      const want = noise(SIZE).fill(0, 65_536, 131_072);
      want.set(noise(10, 3), 70_000);
      assert(sameBytes(folder.read(`${origin}.raw`), want));
      const again = await openQcow2(path);
      await again.setBacking(undefined);
      await again.close();
      const bare = JSON.parse(qemuImg("info", "--output=json", path));
      assertEquals(bare["backing-filename"], undefined);
    }
  });
});
