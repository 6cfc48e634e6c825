import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockStage, STAGE_SIZE } from "./block_stage.ts";

let stage: BlockStage;

beforeEach(async () => {
  stage = await BlockStage.open();
});
afterEach(() => stage.close());

describe("drive-mirror to a file that it makes", () => {
  it("counts what reads as zeros, and nothing of what holds no bytes", async () => {
    const nodes = [["n", {}, 0], ["z", { "read-zeroes": true }, STAGE_SIZE]] as const;
    for (const [name, options, length] of nodes) {
      const node = { driver: "null-co", "node-name": name, size: STAGE_SIZE, ...options };
      await stage.must("blockdev-add", node);
      const to = { target: `${name}.raw`, format: "raw", sync: "full" };
      await stage.must("drive-mirror", { "job-id": name, device: name, ...to });
      await stage.client.status(name, "ready");
      const { return: jobs } = await stage.run("query-block-jobs");
      const { len, offset } = jobs.find((job: { device: string }) => job.device === name);
      assertEquals([name, len, offset], [name, length, length]);
    }
  });
});
