import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockStage, STAGE_SIZE } from "./block_stage.ts";

let stage: BlockStage;

beforeEach(async () => {
  stage = await BlockStage.open();
});
afterEach(() => stage.close());

describe("nodes that a job holds", () => {
  it("block-stream: its filter is there from the start, also for nothing", async () => {
    await stage.chain();
    const named = { "job-id": "j", device: "base", "filter-node-name": "f" };
    await stage.must("block-stream", { ...named, "auto-finalize": false });
    await stage.client.status("j", "pending");
    const busy = "Node 'f' is busy: block device is in use by block job: stream";
    await stage.refusals("block-commit", [[{ device: "top" }, busy]]);
    await stage.must("job-finalize", { id: "j" });
    await stage.must("block-commit", { "job-id": "c", device: "top" });
  });

  it("blockdev-backup: its source may be committed, and not written", async () => {
    await stage.chain();
    await stage.raw("t", "t.raw");
    await stage.raw("s", "src.raw");
    const held = { "filter-node-name": "f", "auto-finalize": false };
    const at = { "job-id": "j", device: "mid", target: "t", sync: "full" };
    await stage.must("blockdev-backup", { ...at, ...held });
    await stage.client.status("j", "pending");
    const conflict = (user: string, role: string) =>
      "Permission conflict on node 'mid': permissions 'write' are both required by " +
      `${user} (uses node 'mid' as '${role}' child) and unshared by node 'f' ` +
      "(uses node 'mid' as 'file' child).";
    const onto = { device: "s", target: "mid", sync: "full", "job-id": "k" };
    await stage.refusals("blockdev-mirror", [[onto, conflict("an unnamed block device", "root")]]);
    const shown = "Cannot replace 'mid' by a node mirrored from 's', because it cannot be " +
      "guaranteed that doing so would not lead to an abrupt change of visible data";
    await stage.raw("u", "small.raw");
    const over = { ...onto, target: "u", replaces: "mid" };
    await stage.refusals("blockdev-mirror", [[over, shown]]);
    const text = `Could not create node: ${conflict("node 'g'", "target")}`;
    await stage.refusals("blockdev-backup", [[{ ...onto, "filter-node-name": "g" }, text]]);
    await stage.must("block-commit", { "job-id": "c", device: "top", "top-node": "mid" });
    await stage.client.status("c", "null");
  });

  it("blockdev-backup: who shares a read-only target is told before that it is one", async () => {
    await stage.raw("s", "src.raw");
    const file = { driver: "file", filename: "t.raw" };
    await stage.must("blockdev-add", { driver: "raw", "node-name": "t", file, "read-only": true });
    await stage.must("blockdev-add", { driver: "null-co", "node-name": "n", size: STAGE_SIZE });
    const held = { "filter-node-name": "f", "auto-finalize": false, "job-id": "a" };
    await stage.must("blockdev-backup", { device: "t", target: "n", sync: "full", ...held });
    const text = "Could not create node: Permission conflict on node 't': permissions 'write' " +
      "are both required by node 'g' (uses node 't' as 'target' child) and unshared by node 'f' " +
      "(uses node 't' as 'file' child).";
    const onto = { device: "s", target: "t", sync: "full", "filter-node-name": "g" };
    await stage.refusals("blockdev-backup", [[{ ...onto, "job-id": "b" }, text]]);
  });

  it("blockdev-mirror: what it will replace is busy once complete was accepted", async () => {
    await stage.pair();
    const at = { "job-id": "m", device: "s", target: "t", sync: "full", replaces: "s" };
    await stage.must("blockdev-mirror", { ...at, "auto-finalize": false });
    await stage.client.status("m", "ready");
    const busy = "Node 's' is busy: block device is in use by block";
    const other = { device: "s", target: "t", sync: "full", "job-id": "b" };
    await stage.refusals("blockdev-backup", [[other, `${busy} job: mirror`]]);
    await stage.must("job-complete", { id: "m" });
    await stage.client.status("m", "pending");
    await stage.refusals("blockdev-backup", [[other, `${busy}-job-complete`]]);
    await stage.must("job-finalize", { id: "m" });
    await stage.client.status("m", "null");
  });

  it("blockdev-backup: an overlay of its source that it writes stays one of that", async () => {
    await stage.chain();
    const onto = { device: "mid", target: "top", sync: "top", "filter-node-name": "f" };
    await stage.must("blockdev-backup", { ...onto, "job-id": "j", "auto-finalize": false });
    await stage.client.status("j", "pending");
    const busy = "Node 'mid' is busy: node is used as backing hd of 'top'";
    await stage.refusals("blockdev-del", [[{ "node-name": "mid" }, busy]]);
    await stage.must("job-finalize", { id: "j" });
    await stage.client.status("j", "null");
    await stage.refusals("blockdev-del", [[{ "node-name": "mid" }, busy]]);
  });

  it("blockdev-backup: its source is a root again once a commit took its filter away", async () => {
    await stage.chain();
    await stage.raw("t", "t.raw");
    await stage.raw("u", "src.raw");
    const held = { speed: 1, "job-id": "b", "filter-node-name": "f" };
    await stage.must("blockdev-backup", { device: "mid", target: "t", sync: "full", ...held });
    const mirror = { "job-id": "m", device: "mid", target: "u", sync: "none" };
    await stage.refusals("blockdev-mirror", [[mirror, "Need a root block node"]]);
    await stage.must("block-commit", { "job-id": "c", device: "top", "top-node": "mid" });
    await stage.client.status("c", "null");
    await stage.must("blockdev-mirror", mirror);
  });

  it("blockdev-mirror: a backup that was told to have ended keeps nobody off", async () => {
    await stage.pair();
    const at = { device: "s", target: "t", sync: "full" };
    await stage.must("blockdev-backup", { ...at, "job-id": "b", "auto-dismiss": false });
    await stage.client.status("b", "concluded");
    await stage.must("blockdev-mirror", { ...at, "job-id": "m" });
  });

  it("block-stream: a commit that was told to be gone keeps nobody off", async () => {
    // What a header names is read-only, and is made so again when the commit is over.
    const file = { driver: "file", filename: "top.qcow2" };
    await stage.must("blockdev-add", { driver: "qcow2", "node-name": "top", file });
    await stage.must("block-commit", { "job-id": "c", device: "top" });
    await stage.client.status("c", "ready");
    await stage.must("job-cancel", { id: "c" });
    await stage.client.status("c", "null");
    await stage.must("block-stream", { "job-id": "s", device: "top" });
    await stage.client.status("s", "null");
  });
});

describe("blockdev-backup to what shows through its source", () => {
  it("is refused: early when somebody leads to the source, else as the job comes", async () => {
    await stage.chain();
    const text = "Permission conflict on node 'base': permissions 'write' are both required by " +
      "node 'f' (uses node 'base' as 'target' child) and unshared by node 'mid' (uses node " +
      "'base' as 'backing' child).";
    const at = { "job-id": "j", target: "base", sync: "full", "filter-node-name": "f" };
    await stage.refusals("blockdev-backup", [
      [{ ...at, device: "mid" }, `Could not replace node: ${text}`],
      [{ ...at, device: "top" }, text],
      [{ ...at, device: "top", "job-id": "0" }, "Invalid job ID '0'"],
    ]);
    assertEquals(stage.client.story.filter((line) => line.startsWith("j ")), [
      "j created",
      "j null",
    ]);
  });

  it("is not begun while a commit writes what shows through the source", async () => {
    await stage.chain();
    await stage.raw("t", "t.raw");
    await stage.must("block-commit", { "job-id": "a", device: "top", "top-node": "mid" });
    await stage.client.status("a", "null");
    await stage.must("block-commit", { "job-id": "b", device: "top" });
    await stage.client.status("b", "ready");
    const text = "Permission conflict on node 'base': permissions 'write' are both required by " +
      "an unnamed block device (uses node 'base' as 'root' child) and unshared by node 'mid' " +
      "(uses node 'base' as 'backing' child).";
    const at = { "job-id": "j", device: "mid", target: "t", sync: "full" };
    await stage.refusals("blockdev-backup", [[at, text]]);
    await stage.must("blockdev-add", { driver: "raw", "node-name": "over", file: "mid" });
    await stage.refusals("blockdev-backup", [[at, `Could not replace node: ${text}`]]);
  });

  it("is told of numbers before the job, and behind the filter", async () => {
    await stage.chain();
    const numbers = "Required max-chunk (4096) is less than backup cluster size (65536)";
    const at = { device: "top", target: "mid", sync: "full", "job-id": "j" };
    const small = { ...at, "x-perf": { "max-chunk": 4_096 }, "filter-node-name": "f" };
    await stage.refusals("blockdev-backup", [[small, numbers]]);
    await stage.must("blockdev-add", { driver: "raw", "node-name": "over", file: "top" });
    const text = "Could not replace node: Permission conflict on node 'mid': permissions 'write' " +
      "are both required by node 'f' (uses node 'mid' as 'target' child) and unshared by node " +
      "'top' (uses node 'mid' as 'backing' child).";
    await stage.refusals("blockdev-backup", [[small, text]]);
  });

  it("is told of the filter of another backup that writes what shows through", async () => {
    await stage.chain();
    await stage.raw("s", "src.raw");
    await stage.raw("t", "t.raw");
    const none = { device: "s", target: "mid", sync: "none" };
    await stage.must("blockdev-backup", { ...none, "job-id": "a", "filter-node-name": "f" });
    const text = "Permission conflict on node 'mid': permissions 'write' are both required by " +
      "node 'f' (uses node 'mid' as 'target' child) and unshared by node 'top' " +
      "(uses node 'mid' as 'backing' child).";
    await stage.refusals("blockdev-backup", [
      [{ "job-id": "j", device: "top", target: "t", sync: "full" }, text],
    ]);
  });

  it("tells of sizes and names before it tells of the target", async () => {
    await stage.pair("small.raw");
    const at = { "job-id": "j", device: "s", target: "t", sync: "full" };
    const sizes = "Source and target image have different sizes";
    await stage.refusals("blockdev-backup", [[{ ...at, "filter-node-name": "s" }, sizes]]);
    await stage.must("blockdev-del", { "node-name": "t" });
    const file = { driver: "file", filename: "t.raw" };
    await stage.must("blockdev-add", { driver: "raw", "node-name": "t", file, "read-only": true });
    await stage.refusals("blockdev-backup", [
      [
        { ...at, "filter-node-name": "s" },
        "Could not create node: Duplicate nodes with node-name='s'",
      ],
      [at, "Could not create node: Block node is read-only"],
    ]);
  });
});

describe("blockdev-del of a node of a job", () => {
  it("names the job for the source of a mirror, and says that the target is in use", async () => {
    await stage.pair();
    await stage.must("blockdev-mirror", {
      "job-id": "m",
      device: "s",
      target: "t",
      sync: "none",
    });
    await stage.refusals("blockdev-del", [
      [{ "node-name": "s" }, "Node 's' is busy: block device is in use by block job: mirror"],
      [{ "node-name": "t" }, "Node t is in use"],
    ]);
  });
});
