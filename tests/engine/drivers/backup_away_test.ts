import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { utimesSync } from "node:fs";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import type { JobState } from "../../../events/job/mod.ts";
import { type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";

const MIB = 1_048_576;
const SIZE = 4 * MIB;

let folder: ImageFolder;
let joblog: Joblog;

const open = async () => {
  joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
};

const file = (filename: string) => ({ driver: "file", filename });

/** `raw`; `base` <- `top`; `copy` to write to. */
beforeEach(async () => {
  folder = new ImageFolder();
  folder.write("raw.raw", noise(SIZE));
  folder.write("base.raw", noise(SIZE, 2));
  folder.write("copy.raw", new Uint8Array(SIZE));
  const below = { backingFile: "base.raw", backingFormat: "raw" } as const;
  await (await createQcow2(folder.file("top.qcow2"), { size: SIZE, ...below })).close();
  await open();
  const base = { driver: "raw", "node-name": "base", file: file("base.raw") };
  const top = { driver: "qcow2", "node-name": "top", file: file("top.qcow2"), backing: base };
  for (const options of [{ driver: "raw", "node-name": "raw", file: file("raw.raw") }, top]) {
    await joblog.nodes.add(options as JsonObject);
  }
  await joblog.nodes.add({ driver: "raw", "node-name": "copy", file: file("copy.raw") });
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

/** Stops half way behind a checkpoint, lets something happen, and goes on in another process. */
async function goesOn(
  source: string,
  meanwhile: () => Promise<void> | void,
  isWritten = false,
): Promise<JobState> {
  const parameters = { source, target: "copy", "max-chunk": 65_536 };
  const guest = isWritten ? await joblog.nodes.writer(source) : undefined;
  const job = await joblog.start({ type: "backup", id: "b", parameters, speed: MIB });
  await job.until(({ progress }) => progress.current >= 131_072);
  await guest?.write(3 * MIB, noise(1_000, 9));
  await guest?.close();
  await job.pause();
  await job.until(({ status }) => status === "paused");
  assert(job.state.checkpoint !== null);
  await joblog.close();
  await meanwhile();
  await open();
  const again = joblog.job("b")!;
  await again.setSpeed(0);
  await again.resume();
  return await again.done;
}

/** Somebody else writes a file, some time later. */
function writeBehind(name: string): void {
  const bytes = folder.read(name);
  bytes[SIZE - 5]! ^= 255;
  const later = new Date(Date.now() + 5_000);
  utimesSync(folder.write(name, bytes), later, later);
}

describe("backup of nodes that was away", () => {
  for (const isWritten of [false, true]) {
    const guests = isWritten ? "after a guest wrote" : "without guests";
    it(`goes on while nobody wrote the source, ${guests}`, async () => {
      for (const source of ["raw", "top"]) {
        const before = source === "raw" ? noise(SIZE) : noise(SIZE, 2);
        const end = await goesOn(source, () => {}, isWritten);
        assertEquals([source, end.error, end.ret], [source, null, 0]);
        assert(sameBytes(folder.read("copy.raw"), before), source);
        await joblog.nodes.settled();
      }
    });

    it(`fails when somebody else wrote its raw file, ${guests}`, async () => {
      const end = await goesOn("raw", () => writeBehind("raw.raw"), isWritten);
      assertEquals(end.error?.errno, "EIO");
      const text = "a file of the source was written by others after its last checkpoint";
      assert(end.error?.text.endsWith(text), end.error?.text);
    });

    it(`fails when somebody else wrote a file below it, ${guests}`, async () => {
      const end = await goesOn("top", () => writeBehind("base.raw"), isWritten);
      assertEquals(end.error?.errno, "EIO");
    });
  }

  it("lets no guest write while nobody runs it, and then has the bytes of one moment", async () => {
    const end = await goesOn("top", async () => {
      const options = { path: folder.file("jobs.db"), baseFolder: folder.path, run: false };
      const idle = await openJoblog(options);
      const refused = await assertRejects(() => idle.nodes.writer("top"), JoblogError);
      assertEquals(refused.code, "permissionConflict");
      const text = "Cannot write through node 'top': job 'b' is unfinished, and no jobs run here";
      assertEquals(refused.message, text);
      await idle.close();
    });
    assertEquals([end.error, end.ret], [null, 0]);
    assert(sameBytes(folder.read("copy.raw"), noise(SIZE, 2)));
  });

  it("fails when somebody else wrote a qcow2 image that is read-only", async () => {
    await joblog.nodes.remove("top");
    const own = { ...file("top.qcow2"), "read-only": true };
    const read = { driver: "raw", file: { ...file("base.raw"), "read-only": true } };
    const options = { driver: "qcow2", "node-name": "top", file: own, "read-only": true };
    await joblog.nodes.add({ ...options, backing: { ...read, "read-only": true } } as JsonObject);
    const end = await goesOn("top", async () => {
      const node = await openQcow2(folder.file("top.qcow2"));
      await node.write(0, noise(10));
      await node.close();
    });
    assertEquals(end.error?.errno, "EIO");
  });
});
