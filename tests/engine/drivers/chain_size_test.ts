import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import process from "node:process";
import { openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";

const MIB = 1_048_576;
const TIB = 2 ** 40;
const DATA = [0, 300 * 2 ** 30 + 12_345, TIB - 70_000] as const;

let folder: ImageFolder;
let joblog: Joblog;
beforeEach(async () => {
  folder = new ImageFolder();
  joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
  await layer("base.qcow2", undefined, DATA);
  await layer("mid.qcow2", "base.qcow2", [DATA[1] + 5_000_000]);
  await layer("top.qcow2", "mid.qcow2", []);
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

async function layer(name: string, below: string | undefined, offsets: readonly number[]) {
  const backing = below === undefined
    ? {}
    : { backingFile: below, backingFormat: "qcow2" } as const;
  const node = await createQcow2(folder.file(name), { size: TIB, ...backing });
  for (const offset of offsets) await node.write(offset, noise(70_000, offset % 1_000 + 1));
  await node.close();
}

async function expectData(name: string): Promise<void> {
  const node = await openQcow2(folder.file(name), { readOnly: true });
  for (const offset of [...DATA, DATA[1] + 5_000_000]) {
    const bytes = new Uint8Array(70_000);
    await node.read(offset, bytes);
    assert(sameBytes(bytes, noise(70_000, offset % 1_000 + 1)), `${name} at ${offset}`);
  }
  await node.close();
  if (HAS_QEMU) assertEquals(checkByQemu(folder.file(name)), { corruptions: 0, leaks: 0 });
}

describe("a chain of 1 TiB that is nearly empty", () => {
  const cases: readonly (readonly [string, JsonObject, string])[] = [
    ["stream", { device: "top.qcow2" }, "top.qcow2"],
    ["stream", { device: "top.qcow2", base: "base.qcow2" }, "top.qcow2"],
    ["commit", { device: "top.qcow2", top: "mid.qcow2" }, "base.qcow2"],
  ];
  for (const [type, parameters, shows] of cases) {
    it(`${type} ${JSON.stringify(parameters)}: little memory and few events`, async () => {
      const before = process.memoryUsage().rss;
      const job = await joblog.start({ type, id: "j", parameters });
      const { ret, error, progress, stepCount, version } = await job.done;
      assertEquals([ret, error], [0, null]);
      assertEquals([progress.current, progress.total], [TIB, TIB]);
      assert(stepCount < 200 && version < 2_000, `${stepCount} steps, ${version} events`);
      const grownMib = (process.memoryUsage().rss - before) / MIB;
      assert(grownMib < 256, `${grownMib} MiB`);
      await expectData(shows);
    });
  }

  it("active commit: little memory and few events", async () => {
    const before = process.memoryUsage().rss;
    const job = await joblog.start({
      type: "commit",
      id: "j",
      parameters: { device: "top.qcow2" },
    });
    await job.until(({ status }) => status === "ready" || status === "null");
    await job.complete();
    const { ret, error, version } = await job.done;
    assertEquals([ret, error], [0, null]);
    assert(version < 2_000, `${version} events`);
    assert((process.memoryUsage().rss - before) / MIB < 256);
    await expectData("base.qcow2");
  });
});
