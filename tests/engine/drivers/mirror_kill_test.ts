import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { verify } from "../../../events/replay/verify.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { type SpawnedScript, spawnRuntime } from "../../support/spawn_runtime.ts";
import { bytesOf, checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";

const SCRIPT = fileURLToPath(new URL("./mirror_kill_process.ts", import.meta.url));
const SIZE = 6 * 2 ** 20;
const ROUNDS = Number(process.env["JOBLOG_KILLS"] ?? 3);
const SEED = Number(process.env["JOBLOG_SEED"] ?? Date.now() % 1_000_000);

describe(`mirror after kill -9 (seed ${SEED})`, () => {
  let folder: ImageFolder;
  let script: SpawnedScript | undefined;
  let joblog: Joblog | undefined;
  let model: Uint8Array;

  beforeEach(async () => {
    folder = new ImageFolder();
    model = noise(SIZE, SEED);
    model.fill(0, 2 ** 20, 2 * 2 ** 20);
    folder.write("a.raw", model);
    await (await createQcow2(folder.file("c.qcow2"), { size: SIZE })).close();
  });

  afterEach(async () => {
    await script?.kill();
    await joblog?.close({ jobs: "cancel" });
    folder.remove();
  });

  /** Takes a write into the model; one that was not acknowledged is done or not, or in part. */
  function take(will: string, isDone: boolean, source: Uint8Array): void {
    const [offset, length, of] = will.split(" ").slice(1).map(Number) as [number, number, number];
    const bytes = isDone ? noise(length, of) : source.subarray(offset, offset + length);
    model.set(bytes, offset);
  }

  /** Lets a process work, kills it, and takes what its guest was told. */
  async function killOne(round: number, writes: number): Promise<void> {
    script = spawnRuntime(SCRIPT, [folder.path, String(SEED + round)]);
    let will: string | undefined;
    let count = 0;
    for (;;) {
      const line = await script.line();
      if (line === undefined) break;
      if (line.startsWith("will")) will = line;
      if (line !== "did") continue;
      take(will!, true, model);
      will = undefined;
      if (++count === writes) assertEquals(await script.kill(), "SIGKILL");
    }
    assert(count >= writes, "The process ended by itself");
    if (will !== undefined) take(will, false, folder.read("a.raw"));
    assert(sameBytes(folder.read("a.raw"), model), "the source is not what its guest was told");
  }

  it("loses no write and ends with equal bytes", async () => {
    const random = numbersFrom(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      await killOne(round, 3 + random(60));
      if (HAS_QEMU) assertEquals(checkByQemu(folder.file("c.qcow2")).corruptions, 0);
    }
    joblog = await openJoblog({ path: folder.file("jobs.log"), baseFolder: folder.path });
    const job = joblog.job("m")!;
    await job.setSpeed(0);
    await job.until(({ status }) => status === "ready");
    await job.complete();
    const end = await job.done;
    assertEquals([end.ret, end.error], [0, null]);
    assertEquals((await verify(joblog.reader)).faults, []);
    await joblog.close();
    const mirrored = await openQcow2(folder.file("c.qcow2"), { readOnly: true });
    assert(sameBytes(await bytesOf(mirrored), model));
    await mirrored.close();
    if (HAS_QEMU) assertEquals(checkByQemu(folder.file("c.qcow2")).corruptions, 0);
  });
});
