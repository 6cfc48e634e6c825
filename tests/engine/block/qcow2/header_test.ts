/** What is refused, and in which words. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { backingPath, openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { parseHeader } from "../../../../engine/block/qcow2/header.ts";
import { featureNamesOf } from "../../../../engine/block/qcow2/header_extensions.ts";
import { ImageFolder } from "../../../support/images.ts";

/** A correct header of version 3 in a file of 16 clusters, with changes. */
function headerBytes(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(65_536);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x514649fb);
  view.setUint32(4, 3);
  view.setUint32(20, 16);
  view.setBigUint64(24, 1_048_576n);
  view.setUint32(36, 1);
  view.setBigUint64(40, 0x30000n);
  view.setBigUint64(48, 0x10000n);
  view.setUint32(56, 1);
  view.setUint32(96, 4);
  view.setUint32(100, 104);
  change(view);
  return bytes;
}

const parse = (change?: (view: DataView) => void) =>
  parseHeader("a.qcow2", headerBytes(change), 16 * 65_536);

/** A longer header, with a type of compression. */
function typed(view: DataView, type: number): void {
  view.setUint32(100, 112);
  view.setUint8(104, type);
}

/** What is changed, and what the refusal says of it. */
const REFUSALS: readonly (readonly [string, string, (view: DataView) => void])[] = [
  ["EINVAL", "it does not start like one", (view) => view.setUint32(0, 1)],
  ["ENOTSUP", "version 1 is not supported", (view) => view.setUint32(4, 1)],
  ["ENOTSUP", "version 4 is not supported", (view) => view.setUint32(4, 4)],
  ["EINVAL", "2^8 bytes", (view) => view.setUint32(20, 8)],
  ["EINVAL", "2^22 bytes", (view) => view.setUint32(20, 22)],
  ["ENOTSUP", "encryption is not", (view) => view.setUint32(32, 1)],
  ["ENOTSUP", "encryption with LUKS", (view) => view.setUint32(32, 2)],
  ["ENOTSUP", "an external data file", (view) => view.setUint32(76, 4)],
  ["ENOTSUP", "an extended L2 table", (view) => view.setUint32(76, 16)],
  ["ENOTSUP", "compression of type 2", (view) => typed(view, 2)],
  ["EINVAL", "its compression is of type 0", (view) => view.setUint32(76, 8)],
  ["EINVAL", "its compression is of type 1", (view) => typed(view, 1)],
  ["ENOTSUP", "incompatible feature 0x20 ", (view) => view.setUint32(76, 32)],
  ["ENOTSUP", "feature 0x8000000000000000 ", (view) => view.setUint32(72, 0x8000_0000)],
  ["EINVAL", "its size is larger", (view) => view.setUint32(24, 0x20_0000)],
  ["EINVAL", "has 1 entries and needs 2", (view) => view.setUint32(28, 0x2000_0001)],
  ["EINVAL", "4194305 entries, which is too many", (view) => view.setUint32(36, 4_194_305)],
  ["EINVAL", "its L1 table does not start at a cluster", (view) => view.setUint32(44, 0x30200)],
  ["EINVAL", "its L1 table does not lie inside", (view) => view.setUint32(44, 0x100000)],
  ["EINVAL", "its L1 table does not start", (view) => view.setUint32(40, 0xffff_ffff)],
  ["EINVAL", "its refcount table does not start", (view) => view.setUint32(52, 1)],
  ["EINVAL", "its refcount table does not lie inside", (view) => view.setUint32(52, 0)],
  ["EINVAL", "it has no refcount table", (view) => view.setUint32(56, 0)],
  ["EINVAL", "its refcount table has", (view) => view.setUint32(56, 129)],
  ["EINVAL", "65537 snapshots", (view) => view.setUint32(60, 65_537)],
  ["EINVAL", "its table of snapshots", (view) => view.setUint32(60, 1)],
  ["EINVAL", "2^7 bits", (view) => view.setUint32(96, 7)],
  ["EINVAL", "its header has 96 bytes", (view) => view.setUint32(100, 96)],
  ["EINVAL", "its header has 65537 bytes", (view) => view.setUint32(100, 65_537)],
  ["EINVAL", "backing file is too long", (view) => {
    view.setUint32(12, 200);
    view.setUint32(16, 1_024);
  }],
  ["EINVAL", "outside the first cluster", (view) => {
    view.setUint32(12, 65_530);
    view.setUint32(16, 10);
  }],
  ["EINVAL", "header extension 0x7 is too long", (view) => {
    view.setUint32(104, 7);
    view.setUint32(108, 70_000);
  }],
];

describe("parseHeader", () => {
  for (const [code, words, change] of REFUSALS) {
    it(`refuses: ${words}`, () => {
      const error = assertThrows(() => parse(change), BlockError);
      assert(error.message.includes(words), error.message);
      assertEquals([error.code, error.subject], [code, "a.qcow2"]);
    });
  }

  it("reads version 2 without the fields of version 3", () => {
    const header = parse((view) => {
      view.setUint32(4, 2);
      view.setUint32(72, 0);
      for (let at = 72; at < 104; at += 4) view.setUint32(at, 0);
    });
    assertEquals([header.version, header.refcountOrder, header.incompatible], [2, 4, 0n]);
  });

  it("keeps extensions, known and unknown, and the backing file", () => {
    const header = parse((view) => {
      const put = (at: number, text: string) =>
        new TextEncoder().encodeInto(text, new Uint8Array(view.buffer, at));
      view.setUint32(104, 0xe279_2aca);
      view.setUint32(108, 3);
      put(112, "raw");
      view.setUint32(120, 0x1234_5678);
      view.setUint32(124, 1);
      view.setUint8(128, 9);
      view.setUint32(136, 0x6803_f857);
      view.setUint32(140, 48);
      view.setUint8(145, 5);
      put(146, "a feature");
      view.setUint32(12, 1_000);
      view.setUint32(16, 8);
      put(1_000, "base.raw");
    });
    assertEquals([header.backingName, header.backingFormat], ["base.raw", "raw"]);
    assertEquals(header.extensions.map(({ type, data }) => [type, data.byteLength]), [
      [0xe279_2aca, 3],
      [0x1234_5678, 1],
      [0x6803_f857, 48],
    ]);
    const names = featureNamesOf(header.extensions);
    assertEquals(names, [{ kind: "incompatible", bit: 5, name: "a feature" }]);
  });
});

describe("openQcow2", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  function overlay(name: string, backing: string): string {
    const bytes = new Uint8Array(16 * 65_536);
    bytes.set(headerBytes((view) => {
      view.setUint32(12, 1_000);
      view.setUint32(16, backing.length);
      new TextEncoder().encodeInto(backing, new Uint8Array(view.buffer, 1_000));
    }));
    return folder.write(name, bytes);
  }

  it("refuses a chain that is a ring", async () => {
    overlay("a", "b");
    overlay("b", "./a");
    const error = await assertRejects(() => openQcow2(folder.file("a")), BlockError, "is a ring");
    assertEquals(error.code, "ELOOP");
  });

  it("refuses a chain of more than 200 files", async () => {
    for (let index = 0; index < 201; index++) overlay(`i${index}`, `i${index + 1}`);
    folder.write("i201", new Uint8Array(512));
    const open = (name: string) => openQcow2(folder.file(name), { readOnly: true });
    await assertRejects(() => open("i0"), BlockError, "more than 200 files");
    await (await open("i2")).close();
  });

  it("refuses an empty file, a missing one and a missing backing file", async () => {
    folder.write("empty", new Uint8Array(0));
    await assertRejects(() => openQcow2(folder.file("empty")), BlockError, "does not start like");
    const missing = await assertRejects(() => openQcow2(folder.file("none")), BlockError);
    assertEquals(missing.code, "ENOENT");
    const path = overlay("a", "none");
    assertEquals((await assertRejects(() => openQcow2(path), BlockError)).code, "ENOENT");
    await (await openQcow2(path, { readOnly: true, withoutBacking: true })).close();
  });

  it("opens an image that is marked as corrupt for reading only", async () => {
    const bytes = new Uint8Array(16 * 65_536);
    bytes.set(headerBytes((view) => view.setUint32(76, 2)));
    const path = folder.write("a", bytes);
    const error = await assertRejects(() => openQcow2(path), BlockError, "marked as corrupt");
    assertEquals(error.code, "EROFS");
    const node = await openQcow2(path, { readOnly: true });
    await node.read(0, new Uint8Array(512));
    await node.close();
  });
});

describe("backingPath", () => {
  it("means relative names from the folder of the overlay", () => {
    assertEquals(backingPath("x/top.qcow2", "base.raw"), "x/base.raw");
    assertEquals(backingPath("top.qcow2", "y/base.raw"), "y/base.raw");
    assertEquals(backingPath("/x/top.qcow2", "/y/base.raw"), "/y/base.raw");
    assertEquals(backingPath("/x/top.qcow2", "file:base.raw"), "/x/base.raw");
    assertEquals(backingPath("/x/top.qcow2", "./a:b"), "/x/./a:b");
  });

  it("refuses what is not a file", () => {
    for (const name of ["nbd://host/x", "json:{}", "rbd:pool/x"]) {
      const error = assertThrows(() => backingPath("top", name), BlockError, "a backing file of");
      assertEquals(error.code, "ENOTSUP");
    }
  });
});
