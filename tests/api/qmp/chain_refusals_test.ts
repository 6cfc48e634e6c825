import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockStage } from "./block_stage.ts";

/** Refusals that depend on what is above and below a node. Source: QEMU 7.2, by comparison. */
describe("refusals within a chain", () => {
  let stage: BlockStage;

  beforeEach(async () => {
    stage = await BlockStage.open();
    await stage.chain();
  });
  afterEach(() => stage.close());

  const refusal = async (command: string, args: object) =>
    (await stage.run(command, args)).error?.desc;

  it("block-commit: a header with another name does not name the node below", async () => {
    const stream = { "job-id": "s", device: "top", "base-node": "mid", "backing-file": "base.raw" };
    await stage.must("block-stream", stream);
    await stage.client.status("s", "null");
    assertEquals(
      await refusal("block-commit", { device: "top", top: "base.raw" }),
      "cannot commit an image into itself",
    );
  });

  it("block-commit: a backup of what shows its base keeps it from being written", async () => {
    await stage.raw("t", "t.raw");
    await stage.must("block-commit", { "job-id": "c", device: "top", "top-node": "mid" });
    await stage.client.status("c", "null");
    const source = { device: "mid", target: "t", sync: "none", "filter-node-name": "f" };
    await stage.must("blockdev-backup", { ...source, "job-id": "b" });
    assertEquals(
      await refusal("block-commit", { device: "top", "job-id": "d" }),
      "Permission conflict on node 'base': permissions 'write' are both required by an unnamed " +
        "block device (uses node 'base' as 'root' child) and unshared by node 'mid' (uses node " +
        "'base' as 'backing' child).",
    );
    assertEquals(stage.client.story.slice(-3), ["d created", "d null", stage.client.story.at(-1)]);
  });

  it("blockdev-del: a stream comes to its filter as guests do", async () => {
    const stream = { "job-id": "s", device: "top", "filter-node-name": "f" };
    await stage.must("block-stream", { ...stream, "auto-finalize": false });
    await stage.client.status("s", "pending");
    assertEquals(await refusal("blockdev-del", { "node-name": "f" }), "Node f is in use");
  });

  it("blockdev-backup: a backup further up forbids writes before the filter is there", async () => {
    const conflict = "node: Permission conflict on node 'base': permissions 'write' are both " +
      "required by node '#block0' (uses node 'base' as 'target' child) and unshared by node " +
      "'mid' (uses node 'base' as 'backing' child).";
    const into = { device: "mid", target: "base", sync: "full" };
    assertEquals(await refusal("blockdev-backup", into), `Could not replace ${conflict}`);
    await stage.raw("t", "t.raw");
    const held = { device: "top", target: "t", sync: "none", "filter-node-name": "f" };
    await stage.must("blockdev-backup", { ...held, "job-id": "b" });
    assertEquals(await refusal("blockdev-backup", into), `Could not create ${conflict}`);
    assertEquals(
      await refusal("blockdev-backup", { device: "top", target: "base", sync: "full" }),
      `Could not create ${conflict}`,
    );
  });

  it("blockdev-backup: so does the filter of one in between, which has a file", async () => {
    await stage.raw("t", "t.raw");
    const held = { device: "mid", target: "t", sync: "none", "filter-node-name": "f" };
    await stage.must("blockdev-backup", { ...held, "job-id": "b" });
    assertEquals(
      await refusal("blockdev-backup", { device: "top", target: "mid", sync: "none" }),
      "Could not create node: Permission conflict on node 'mid': permissions 'write' are both " +
        "required by node '#block0' (uses node 'mid' as 'target' child) and unshared by node " +
        "'f' (uses node 'mid' as 'file' child).",
    );
  });

  it("blockdev-create: the definition of its file is checked before the job is made", async () => {
    const create = (file: object) =>
      refusal("blockdev-create", { "job-id": "c", options: { driver: "qcow2", file, size: 512 } });
    assertEquals(await create({}), "Parameter 'options.file.driver' is missing");
    assertEquals(
      await create({ driver: "file", filename: "n.qcow2", wrong: 1 }),
      "Parameter 'options.file.wrong' is unexpected",
    );
  });
});
