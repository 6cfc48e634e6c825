import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockStage } from "./block_stage.ts";

let stage: BlockStage;

beforeEach(async () => {
  stage = await BlockStage.open();
});
afterEach(() => stage.close());

describe("query-named-block-nodes", () => {
  it("names the file of a format, and the one below an overlay, as they were named", async () => {
    await stage.chain();
    await stage.must("blockdev-add", { driver: "null-co", "node-name": "n", size: 512 });
    const { return: nodes } = await stage.run("query-named-block-nodes");
    const rows = new Map<string, unknown>();
    for (const node of nodes) {
      const { file, image, backing_file: below } = node;
      rows.set(node["node-name"], [file, image.filename, below]);
    }
    assertEquals(rows.get("base"), ["base.raw", "base.raw", undefined]);
    assertEquals(rows.get("mid"), ["mid.qcow2", "mid.qcow2", "base.raw"]);
    assertEquals(rows.get("top"), ["top.qcow2", "top.qcow2", "mid.qcow2"]);
    assertEquals(rows.get("n"), ["", "", undefined]);
  });
});
