import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import {
  type CommitBatch,
  type EventReader,
  openEventReader,
  openEventStore,
  type RecordedEvent,
} from "../../../events/log/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { createMemoryLog } from "../../../events/store/memory/mod.ts";
import { builtInDrivers, DriverRegistry } from "../../../engine/drivers/registry.ts";
import { Joblog, processIdentity, systemPorts } from "../../../engine/run/mod.ts";
import { sameBytes } from "../../support/images.ts";
import { bytesOf, HAS_QEMU, qemuImg } from "../block/qcow2/qemu.ts";
import { BitmapBed, GRANULE } from "./bitmap_bed.ts";

let bed: BitmapBed;
beforeEach(async () => {
  bed = new BitmapBed();
  await bed.prepare();
});
afterEach(() => bed.close());

const LOST = "Bitmap 'map' is inconsistent and cannot be used";
const BY = { sync: "incremental", bitmap: "map", format: "raw" };

const NOT_BEGUN =
  'Cannot back up "disk" by bitmap "map": its bits went with the process that had ' +
  "them";

/** The disk ends up in another process. */
async function anotherProcess(): Promise<void> {
  await bed.guest.close();
  await bed.joblog.close();
  await bed.open();
}

async function letGuestIn(): Promise<void> {
  await bed.joblog.nodes.settled();
  bed.guest = await bed.joblog.nodes.writer("disk");
}

async function eventsOf(...types: readonly string[]): Promise<readonly RecordedEvent[]> {
  const found: RecordedEvent[] = [];
  for await (const event of bed.joblog.reader.readAll({ types })) found.push(event);
  return found;
}

/** Starts a backup of granules 1, 3, 5 and 7 and holds it behind its first one. */
async function held() {
  await bed.write(1, 3, 5, 7);
  const before = await bytesOf(bed.guest);
  const job = await bed.start({ target: "copy.raw", ...BY }, { speed: 1, autoDismiss: false });
  await job.until(({ progress }) => progress.current > 0);
  return before;
}

async function endOf(): Promise<number> {
  const job = bed.joblog.job("b")!;
  await job.setSpeed(0);
  return (await job.until(({ status }) => status === "concluded")).ret;
}

/** True if the granules that were to be copied are in the copy as they were. */
function isCopied(before: Uint8Array): boolean {
  const copy = bed.folder.read("copy.raw");
  return [1, 3, 5, 7].every((granule) => {
    const [from, to] = [granule * GRANULE, (granule + 1) * GRANULE];
    return sameBytes(copy.subarray(from, to), before.subarray(from, to));
  });
}

describe("backup by a bitmap in memory, in another process", () => {
  it("copies what is left, and says that the bitmap is lost", async () => {
    const before = await held();
    await anotherProcess();
    assertEquals(await endOf(), 0);
    assert(isCopied(before));
    const steps = await eventsOf("StepTaken");
    const lost = steps.filter(({ data }) => data["kind"] === "bitmap-lost");
    assertEquals(lost.map(({ data }) => data["detail"]), [{ node: "disk", bitmap: "map" }]);
    const copied = steps.filter(({ data }) => data["kind"] === "copied");
    assertEquals(copied.map(({ data }) => Number(data["offset"]) / GRANULE), [1, 3, 5, 7]);
    const again = () => bed.start({ target: "more.raw", ...BY }, { id: "again" });
    assertEquals((await assertRejects(again, Error)).message, LOST);
    await bed.joblog.nodes.bitmap("remove", { node: "disk", bitmap: "map" });
    await bed.add("map");
    assertEquals((await verify(bed.joblog.reader)).ok, true);
  });

  it("of all of the disk goes on without the bitmap that it kept", async () => {
    await bed.write(1, 3);
    const before = await bytesOf(bed.guest);
    const mode = { ...BY, "sync": "full", "bitmap-mode": "always" };
    const manual = { speed: 1, autoDismiss: false };
    const job = await bed.start({ target: "copy.raw", ...mode }, manual);
    await job.until(({ progress }) => progress.current > 0);
    await anotherProcess();
    assertEquals(await endOf(), 0);
    assert(sameBytes(bed.folder.read("copy.raw"), before));
  });
});

describe("backup by a bitmap that its image keeps", () => {
  async function keep(): Promise<void> {
    const name = { node: "disk", bitmap: "map" };
    await bed.joblog.nodes.bitmap("remove", name);
    await bed.joblog.nodes.addBitmap({ ...name, granularity: GRANULE, persistent: true });
  }

  it("goes on in another process, each time from where the last one ended", async () => {
    await keep();
    await bed.write(1, 3);
    await anotherProcess();
    await letGuestIn();
    await bed.write(5);
    assertEquals((await (await bed.start({ target: "copy.raw", ...BY })).done).ret, 0);
    await bed.write(7);
    await anotherProcess();
    assertEquals(await bed.dirty(), [7]);
    await bed.guest.close();
    await bed.joblog.nodes.remove("disk");
    if (HAS_QEMU) {
      const info = JSON.parse(qemuImg("info", "--output=json", bed.folder.file("disk.qcow2")));
      const { bitmaps } = info["format-specific"].data;
      assertEquals(bitmaps, [{ flags: ["auto"], name: "map", granularity: GRANULE }]);
    }
  });

  it("keeps all of it when the job went on in another process", async () => {
    await keep();
    const before = await held();
    await bed.write(9);
    await anotherProcess();
    assertEquals(await endOf(), 0);
    await letGuestIn();
    await bed.write(11);
    assert(isCopied(before));
    assertEquals(await bed.dirty(), [1, 3, 5, 7, 9, 11]);
    const { runId } = (await eventsOf("JobCreated"))[0]!.data;
    const released = (await eventsOf("BitmapReleased")).filter(({ data }) =>
      data["runId"] === runId
    );
    // Once when it was parked, and once at its end.
    assertEquals(released.map(({ data }) => data["becomes"]), ["everything", "everything"]);
  });

  it("is found when the source is named by its path", async () => {
    await keep();
    await bed.write(1, 3);
    const before = await bytesOf(bed.guest);
    await bed.guest.close();
    await bed.joblog.nodes.remove("disk");
    const by = { ...BY, source: "disk.qcow2", target: "copy.raw" };
    assertEquals((await (await bed.start(by)).done).ret, 0);
    const copy = bed.folder.read("copy.raw");
    const isSame = (at: number) =>
      sameBytes(
        copy.subarray(at * GRANULE, at * GRANULE + GRANULE),
        before.subarray(at * GRANULE, at * GRANULE + GRANULE),
      );
    assertEquals([isSame(1), isSame(3), isSame(2)], [true, true, false]);
    // It began anew, and is in the file again.
    const { progress } = await (await bed.start({ ...by, target: "more.raw" })).done;
    assertEquals(progress.total, 0);
  });
});

/** An engine over a log in memory that begins with some commits, and tells of those it makes. */
async function openOver(first: readonly CommitBatch[], onCommit = (_batch: CommitBatch) => {}) {
  const log = createMemoryLog({ logId: "0".repeat(32) });
  const past = log.open();
  for (const batch of first) await past.commit({ ...batch, token: past.token });
  await past.close();
  const backend = log.open();
  const commit = backend.commit.bind(backend);
  backend.commit = (batch) => {
    onCommit(batch);
    return commit(batch);
  };
  const ports = systemPorts();
  const joblog = await Joblog.open({
    store: await openEventStore(backend, { clock: ports }),
    ports,
    drivers: new DriverRegistry(builtInDrivers()),
    identity: processIdentity(),
    baseFolder: bed.folder.path,
  });
  return { log, joblog };
}

/** What a log says of decisions and of bitmaps. */
async function told(reader: EventReader): Promise<readonly unknown[]> {
  const types = ["TxnDecided", "BitmapReleased", "BitmapLost"];
  const found: unknown[] = [];
  for await (const { type, data } of reader.readAll({ types })) {
    found.push(data["decision"] ?? data["becomes"] ?? type);
  }
  return found;
}

describe("backup by bitmap whose process dies behind any commit", () => {
  it("ends, and never says of a bitmap what its transaction did not decide", async () => {
    await bed.guest.close();
    await bed.joblog.close();
    const batches: CommitBatch[] = [];
    const { joblog } = await openOver([], (batch) => batches.push(batch));
    const options = { driver: "file", filename: "base.raw" };
    await joblog.nodes.add({ "driver": "raw", "node-name": "disk", "file": options });
    await joblog.nodes.addBitmap({ node: "disk", bitmap: "map", granularity: GRANULE });
    const guest = await joblog.nodes.writer("disk");
    await guest.write(0, new Uint8Array(10));
    await guest.close();
    const first = batches.length;
    const parameters = { source: "disk", target: "crash.raw", mode: "absolute-paths", ...BY };
    const job = await joblog.start({ type: "backup", id: "b", parameters, autoDismiss: false });
    await job.until(({ status }) => status === "concluded");
    const last = batches.length;
    await joblog.close();
    const ends = new Set<string>();
    for (let count = first; count <= last; count++) {
      const again = await openOver(batches.slice(0, count));
      const state = await again.joblog.job("b")?.until(({ status }) => status === "concluded");
      if (state?.ret === -5) assertEquals(state.error?.text, NOT_BEGUN);
      await again.joblog.close();
      const reader = openEventReader(again.log.openReadOnly());
      const report = await verify(reader);
      assertEquals(report.ok, true, JSON.stringify(report.faults));
      ends.add(`${state?.ret} ${await told(reader)}`);
    }
    const allowed = [
      "undefined BitmapLost",
      "-5 BitmapLost,abort",
      "0 BitmapLost,commit",
      "0 commit,BitmapLost",
      "0 commit,written,BitmapLost",
      "-4 BitmapLost,abort",
    ];
    for (const end of ends) assert(allowed.includes(end), end);
    for (
      const end of ["-5 BitmapLost,abort", "0 BitmapLost,commit", "0 commit,written,BitmapLost"]
    ) {
      assert(ends.has(end), end);
    }
    await bed.open();
    bed.guest = await bed.joblog.nodes.writer("disk");
  });
});
