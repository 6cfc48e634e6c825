import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { BlockStage, STAGE_SIZE } from "./block_stage.ts";

let stage: BlockStage;

beforeEach(async () => {
  stage = await BlockStage.open();
});
afterEach(() => stage.close());

const JOB = { "job-id": "j", device: "s" };

describe("drive-backup", () => {
  it("tells what is wrong with its file before what is wrong with its bitmap", async () => {
    await stage.raw("s", "src.raw");
    const args = { ...JOB, sync: "full", bitmap: "ghost", "filter-node-name": "0" };
    await stage.refusals("drive-backup", [
      [
        { ...args, target: "gone/x.raw", format: "raw" },
        "Could not create 'gone/x.raw': No such file or directory",
      ],
      [
        { ...args, target: "ghost.raw", format: "raw", mode: "existing" },
        "Could not open 'ghost.raw': No such file or directory",
      ],
      [
        { ...args, sync: "none", target: "gone/x.raw", format: "raw" },
        "Backing file not supported for file format 'raw'",
      ],
      [{ ...args, target: "new.raw", format: "raw" }, "Bitmap 'ghost' could not be found"],
    ]);
  });

  it("needs an image that can have the source below it for sync none", async () => {
    await stage.raw("s", "src.raw");
    const args = { ...JOB, sync: "none", format: "raw", mode: "existing" };
    const text = "Driver 'raw' of node '#block0' does not support backing files";
    await stage.refusals("drive-backup", [
      [{ ...args, target: "t.raw" }, text],
      [{ ...args, target: "small.raw" }, text],
    ]);
  });

  it("copies all of what has nothing below it for sync top", async () => {
    await (await createQcow2(stage.folder.file("s.qcow2"), { size: STAGE_SIZE })).close();
    const file = { driver: "file", filename: "s.qcow2" };
    await stage.must("blockdev-add", { driver: "qcow2", "node-name": "s", file });
    await stage.must("block-dirty-bitmap-add", { node: "s", name: "b" });
    const args = { ...JOB, sync: "top", target: "new.raw", format: "raw" };
    await stage.refusals("drive-backup", [[
      { ...args, bitmap: "b", "bitmap-mode": "never" },
      "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode 'full'",
    ]]);
    await stage.must("drive-backup", { ...args, "auto-dismiss": false });
    await stage.client.status("j", "concluded");
    const { return: [job] } = await stage.run("query-jobs") as { return: [object] };
    assertEquals(job, {
      ...{ id: "j", type: "backup", status: "concluded" },
      ...{ "current-progress": STAGE_SIZE, "total-progress": STAGE_SIZE },
    });
  });
});
