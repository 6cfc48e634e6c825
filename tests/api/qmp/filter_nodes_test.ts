import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockStage } from "./block_stage.ts";

let stage: BlockStage;

beforeEach(async () => {
  stage = await BlockStage.open();
});
afterEach(() => stage.close());

/** Names that somebody has given, the newest first. */
async function namedNodes(): Promise<readonly string[]> {
  const { return: nodes } = await stage.run("query-named-block-nodes");
  return (nodes as readonly { readonly "node-name": string }[])
    .map((node) => node["node-name"]).filter((name) => !name.startsWith("#"));
}

describe("the filter of a job", () => {
  it("stays until the job ends, also when what led to it is deleted", async () => {
    await stage.chain();
    await stage.raw("t", "t.raw");
    const at = { device: "mid", target: "t", sync: "none", "filter-node-name": "f" };
    await stage.must("blockdev-backup", { ...at, "job-id": "j" });
    await stage.must("blockdev-del", { "node-name": "top" });
    assertEquals(await namedNodes(), ["f", "t", "mid", "base"]);
    await stage.must("job-cancel", { id: "j" });
    await stage.client.status("j", "null");
    assertEquals(await namedNodes(), ["t", "mid", "base"]);
  });
});
