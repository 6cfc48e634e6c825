import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { verify } from "../../../events/replay/mod.ts";
import type { Edge } from "../../../engine/drivers/driver.ts";
import type { TransactionMember } from "../../../mod.ts";
import { noise, sameBytes } from "../../support/images.ts";
import { bytesOf } from "../block/qcow2/qemu.ts";
import { BitmapBed, COUNT, GRANULE } from "./bitmap_bed.ts";

let bed: BitmapBed;
let other: Edge;

/** A second disk, `two`, with a bitmap `map` and a guest, and two targets; `bad` fails. */
beforeEach(async () => {
  bed = new BitmapBed();
  await bed.prepare();
  for (const name of ["two", "good", "fine", "bad"]) bed.folder.sparse(`${name}.raw`, SIZE, []);
  for (const name of ["two", "good", "fine"]) await add(name, file(name));
  const fault = { event: "write_aio", iotype: "write" };
  await add("bad", { "driver": "blkdebug", "image": file("bad"), "inject-error": [fault] });
  await bed.add("map", "two");
  other = await bed.joblog.nodes.writer("two");
});
afterEach(async () => {
  await other.close();
  await bed.close();
});

const SIZE = GRANULE * COUNT;
const GROUPED = { completionMode: "grouped" } as const;
const ABORT: TransactionMember = {
  type: "backup",
  id: "no",
  refusal: { code: "transactionAborted", text: "Transaction aborted" },
};

const file = (name: string) => ({ driver: "file", filename: `${name}.raw` });

function add(name: string, below: { readonly driver: string; readonly [key: string]: unknown }) {
  return bed.joblog.nodes.add({ "driver": "raw", "node-name": name, "file": below as never });
}

function job(id: string, source: string, target: string, extra: object = {}): TransactionMember {
  const parameters = { source, target, sync: "incremental", bitmap: "map", ...extra };
  return { type: "backup", id, parameters };
}

async function writeBoth(): Promise<void> {
  await bed.write(1, 2);
  await other.write(3 * GRANULE, noise(100, 3));
}

async function dirty(): Promise<readonly (readonly number[])[]> {
  return [await bed.dirty("map", "disk"), await bed.dirty("map", "two")];
}

async function endsOf(members: readonly TransactionMember[], options = {}) {
  const { jobs } = await bed.joblog.transaction(members, options);
  const ends = await Promise.all(jobs.map((each) => each.done));
  return ends.map(({ outcome, error }) => [outcome, error?.errno ?? null]);
}

describe("backups by bitmap in one transaction", () => {
  it("grouped: one that fails lets both keep their bitmaps, and again both succeed", async () => {
    await writeBoth();
    const failing = [job("x", "disk", "good"), job("y", "two", "bad")];
    assertEquals(await endsOf(failing, GROUPED), [["cancelled", "ECANCELED"], [
      "completed",
      "EIO",
    ]]);
    assertEquals(await dirty(), [[1, 2], [3]]);
    const again = [job("x", "disk", "good"), job("y", "two", "fine")];
    assertEquals(await endsOf(again, GROUPED), [["completed", null], ["completed", null]]);
    assertEquals(await dirty(), [[], []]);
    assertEquals((await verify(bed.joblog.reader)).ok, true);
  });

  it("grouped: one with nothing to copy waits, and is cancelled with the other", async () => {
    await other.write(0, noise(100));
    const failing = [job("x", "disk", "good"), job("y", "two", "bad")];
    assertEquals(await endsOf(failing, GROUPED), [["cancelled", "ECANCELED"], [
      "completed",
      "EIO",
    ]]);
    assertEquals(await dirty(), [[], [0]]);
  });

  it("individual: each keeps to itself", async () => {
    await writeBoth();
    const members = [job("x", "disk", "good"), job("y", "two", "bad")];
    assertEquals(await endsOf(members), [["completed", null], ["completed", "EIO"]]);
    assertEquals(await dirty(), [[], [3]]);
  });

  it("two bitmaps are cleared with a full backup: incremental ones go on from there", async () => {
    await writeBoth();
    const clear = (node: string) =>
      ({ action: "block-dirty-bitmap-clear", node, bitmap: "map" }) as const;
    const parameters = { source: "disk", target: "good", sync: "full" };
    const backup = { type: "backup", id: "x", parameters } as const;
    assertEquals(await endsOf([clear("disk"), clear("two"), backup]), [["completed", null]]);
    await bed.write(7);
    const next = job("x", "disk", "good");
    assertEquals(await endsOf([next]), [["completed", null]]);
    assert(sameBytes(await bytesOf(bed.guest), bed.folder.read("good.raw")));
    assertEquals(await dirty(), [[], []]);
  });

  it("what is undone leaves no bitmap taken, also one that it added itself", async () => {
    await bed.write(1);
    const added = { action: "block-dirty-bitmap-add", node: "disk", bitmap: "new" } as const;
    const members = [
      added,
      job("x", "disk", "good", { bitmap: "new" }),
      job("y", "two", "fine"),
      ABORT,
    ];
    await assertRejects(() => bed.joblog.transaction(members), Error, "Transaction aborted");
    const bitmaps = bed.joblog.nodes.list().flatMap((node) => node.bitmaps);
    assertEquals(bitmaps.map(({ name, isBusy }) => [name, isBusy]), [["map", false], [
      "map",
      false,
    ]]);
    assertEquals(await dirty(), [[1], []]);
    assertEquals((await verify(bed.joblog.reader)).ok, true);
  });

  it("a cancel of one at pending gives both their bitmaps back", async () => {
    await writeBoth();
    const manual = { autoFinalize: false };
    const members = [job("x", "disk", "good"), job("y", "two", "fine")]
      .map((member) => ({ ...member, ...manual }));
    const { jobs } = await bed.joblog.transaction(members, GROUPED);
    for (const each of jobs) await each.until(({ status }) => status === "pending");
    await bed.write(9);
    await jobs[1]!.cancel();
    for (const each of jobs) await each.done;
    assertEquals(await dirty(), [[1, 2, 9], [3]]);
  });
});
